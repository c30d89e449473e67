package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const frontProxyUser = "front-proxy-client"

// writeIdentities makes the certificates, the key of the service accounts and a kubeconfig for each who calls the
// server. What is there already stays, so that a directory can be started again.
func writeIdentities(l layout, server string) error {
	if err := os.MkdirAll(l.path("pki"), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(l.pki("service-accounts.pub")); err == nil {
		return writeKubeconfigs(l, server)
	}
	authority, err := newAuthority(l, "ca", "kubernetes")
	if err != nil {
		return err
	}
	frontProxy, err := newAuthority(l, "front-proxy-ca", "front-proxy-ca")
	if err != nil {
		return err
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	addresses := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
	for _, leaf := range []struct {
		by   *authorityKey
		file string
		made x509.Certificate
	}{
		{authority, "apiserver", serving("kube-apiserver", names, addresses)},
		{authority, "kubelet", serving("kubelet", []string{"localhost"}, addresses[:1])},
		{authority, "webhook", serving("webhook", []string{"localhost"}, addresses[:1])},
		{authority, "sample-apiserver-serving", serving(sampleName, []string{sampleName + "." + sampleNamespace + ".svc"}, nil)},
		{authority, "apiserver-kubelet-client", calling("kube-apiserver-kubelet-client", "system:masters")},
		{authority, "admin", calling("kubernetes-admin", "system:masters")},
		{authority, controllersName, calling("system:kube-controller-manager", "")},
		{authority, schedulerName, calling("system:kube-scheduler", "")},
		{authority, kwokName, calling("kwok", "system:masters")},
		{authority, sampleName, calling(sampleName, "system:masters")},
		{frontProxy, "front-proxy-client", calling(frontProxyUser, "")},
	} {
		if err := leaf.by.issue(l, leaf.file, leaf.made); err != nil {
			return err
		}
	}
	key, err := newKey(l, "service-accounts")
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(l.pki("service-accounts.pub"), "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKubeconfigs(l, server)
}

func writeKubeconfigs(l layout, server string) error {
	authority, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return err
	}
	for _, name := range []string{"admin", controllersName, schedulerName, kwokName, sampleName} {
		certificate, err := os.ReadFile(l.pki(name + ".crt"))
		if err != nil {
			return err
		}
		key, err := os.ReadFile(l.pki(name + ".key"))
		if err != nil {
			return err
		}
		config := clientcmdapi.NewConfig()
		config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: authority}
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
		config.Contexts["cluster"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: name}
		config.CurrentContext = "cluster"
		if err := clientcmd.WriteToFile(*config, l.kubeconfig(name)); err != nil {
			return err
		}
	}
	return nil
}

type authorityKey struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(l layout, file, name string) (*authorityKey, error) {
	key, err := newKey(l, file)
	if err != nil {
		return nil, err
	}
	made := template(name, "")
	made.IsCA, made.BasicConstraintsValid = true, true
	made.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	made.DNSNames = []string{name}
	certificate, err := sign(l, file, made, &made, key.Public(), key)
	return &authorityKey{key, certificate}, err
}

func (a *authorityKey) issue(l layout, file string, made x509.Certificate) error {
	key, err := newKey(l, file)
	if err != nil {
		return err
	}
	_, err = sign(l, file, made, a.certificate, key.Public(), a.key)
	return err
}

func serving(name string, names []string, addresses []net.IP) x509.Certificate {
	made := template(name, "")
	made.DNSNames, made.IPAddresses = names, addresses
	made.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return made
}

func calling(name, group string) x509.Certificate {
	made := template(name, group)
	made.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return made
}

func template(name, group string) x509.Certificate {
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	return x509.Certificate{
		Subject:   subject,
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().AddDate(1, 0, 0),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func sign(l layout, file string, made x509.Certificate, by *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	made.SerialNumber = serial
	bytes, err := x509.CreateCertificate(rand.Reader, &made, by, public, key)
	if err != nil {
		return nil, err
	}
	if err := writePEM(l.pki(file+".crt"), "CERTIFICATE", bytes); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(bytes)
}

func newKey(l layout, file string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	bytes, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(l.pki(file+".key"), "EC PRIVATE KEY", bytes)
}

func writePEM(path, kind string, bytes []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600)
}
