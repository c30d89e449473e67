package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	etcdName        = "etcd"
	apiserverName   = "kube-apiserver"
	controllersName = "kube-controller-manager"
	schedulerName   = "kube-scheduler"
	kwokName        = "kwok"
)

// layout is where things are in the directory.
type layout string

func (l layout) path(name string) string       { return filepath.Join(string(l), name) }
func (l layout) pki(name string) string        { return l.path("pki/" + name) }
func (l layout) kubeconfig(name string) string { return l.path(name + ".kubeconfig") }
func (l layout) log(name string) string        { return l.path("logs/" + name + ".log") }
func (l layout) auditLog() string              { return l.path("audit.log") }
func (l layout) auditPolicy() string           { return l.path("audit-policy.yaml") }
func (l layout) podLog() string                { return l.path("pod.log") }
func (l layout) kwokConfig() string            { return l.path("kwok.yaml") }

// apiserverArguments runs with the authorisation of a usual cluster and the admission plugins that are on by default.
func apiserverArguments(l layout, port int, further []string) []string {
	arguments := []string{
		"--etcd-servers=unix://" + etcdSocket,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		// The supervisor holds the port, so that nobody else takes it while this is restarted.
		"--permit-port-sharing=true",
		// Endpoints with loopback addresses are invalid.
		"--advertise-address=127.0.0.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--tls-cert-file=" + l.pki("apiserver.crt"),
		"--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + l.pki("service-accounts.pub"),
		"--service-account-signing-key-file=" + l.pki("service-accounts.key"),
		"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		// Else SIGTERM waits a minute for watches that do not end by themselves.
		"--shutdown-watch-termination-grace-period=1s",
		"--audit-policy-file=" + l.auditPolicy(),
		"--audit-log-path=" + l.auditLog(),
	}
	return append(arguments, further...)
}

func controllerArguments(l layout) []string {
	kubeconfig := l.kubeconfig(controllersName)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.pki("service-accounts.key"),
		"--root-ca-file=" + l.pki("ca.crt"),
		"--cluster-signing-cert-file=" + l.pki("ca.crt"),
		"--cluster-signing-key-file=" + l.pki("ca.key"),
	}
}

func schedulerArguments(l layout) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfig(schedulerName),
		"--secure-port=0",
		"--leader-elect=false",
	}
}

func kwokArguments(l layout, port int) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfig(kwokName),
		"--config=" + l.kwokConfig(),
		"--manage-all-nodes=true",
		"--node-ip=127.0.0.1",
		fmt.Sprintf("--node-port=%d", port),
		fmt.Sprintf("--server-address=127.0.0.1:%d", port),
		"--node-lease-duration-seconds=40",
		"--cidr=10.244.0.0/16",
		"--tls-cert-file=" + l.pki("kubelet.crt"),
		"--tls-private-key-file=" + l.pki("kubelet.key"),
	}
}

// writeStatic writes what the components read besides certificates.
func writeStatic(l layout) error {
	lines := make([]string, 20)
	for i := range lines {
		lines[i] = fmt.Sprintf("2025-01-01T00:00:%02d.000000000Z stdout F line %d of the log", i, i+1)
	}
	for path, text := range map[string]string{
		l.auditPolicy(): auditPolicy,
		l.podLog():      strings.Join(lines, "\n") + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Who, for whom, what and with which result, of every request; no bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`
