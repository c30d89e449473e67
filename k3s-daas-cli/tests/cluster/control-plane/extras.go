package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	"k8s.io/sample-apiserver/pkg/cmd/server"
)

const (
	// sampleName is Kubernetes' own example of an aggregated API: wardle.example.com, with a storage of its own.
	sampleName      = "sample-apiserver"
	sampleNamespace = "sample"
	webhookName     = "webhook"
)

func runSample() int {
	options := server.NewWardleServerOptions(os.Stdout, os.Stderr)
	return cli.Run(server.NewCommandStartWardleServer(genericapiserver.SetupSignalContext(), options, false))
}

func sampleArguments(l layout, port int) []string {
	kubeconfig := l.kubeconfig(sampleName)
	return []string{
		"--etcd-servers=unix://" + etcdSocket,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--permit-port-sharing=true",
		"--tls-cert-file=" + l.pki("sample-apiserver-serving.crt"),
		"--tls-private-key-file=" + l.pki("sample-apiserver-serving.key"),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
	}
}

// registerSample has kube-apiserver pass the group on to the sample server.
func (c *cluster) registerSample(ctx context.Context, l layout, port int) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sampleNamespace}}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); unlessThere(err) != nil {
		return err
	}
	// No Service has endpoints on loopback addresses, but one that is only a name is called by it.
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: sampleName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}
	if _, err := c.client.CoreV1().Services(sampleNamespace).Create(ctx, service, metav1.CreateOptions{}); unlessThere(err) != nil {
		return err
	}
	authority, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return err
	}
	for _, version := range sampleVersions {
		name := version + "." + sampleGroup
		body, err := json.Marshal(map[string]any{
			"apiVersion": "apiregistration.k8s.io/v1",
			"kind":       "APIService",
			"metadata":   map[string]any{"name": name},
			"spec": map[string]any{
				"group":                sampleGroup,
				"version":              version,
				"groupPriorityMinimum": 1000,
				"versionPriority":      15,
				"caBundle":             authority,
				"service":              map[string]any{"namespace": sampleNamespace, "name": sampleName, "port": port},
			},
		})
		if err != nil {
			return err
		}
		// Of an earlier start, with another port.
		const services = "/apis/apiregistration.k8s.io/v1/apiservices"
		client := c.client.CoreV1().RESTClient()
		if err := client.Delete().AbsPath(services, name).Do(ctx).Error(); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err := client.Post().AbsPath(services).Body(body).SetHeader("Content-Type", "application/json").Do(ctx).Error(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) sampleReady(ctx context.Context) error {
	return until(ctx, func(ctx context.Context) error {
		for _, version := range sampleVersions {
			path := "/apis/" + sampleGroup + "/" + version + "/flunders"
			if err := c.client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Error(); err != nil {
				return err
			}
		}
		return nil
	})
}

func webhookArguments(l layout, address string) []string {
	return []string{address, l.pki("webhook.crt"), l.pki("webhook.key")}
}

// runWebhook answers admission reviews as their path says: /allow, /deny, or /delay/12s, which allows after that time.
// It logs each as one line of JSON.
func runWebhook(address, certificate, key string) error {
	http.HandleFunc("/", func(response http.ResponseWriter, request *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(request.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(response, "no admission review", http.StatusBadRequest)
			return
		}
		about := review.Request
		say(map[string]any{
			"path": request.URL.Path, "uid": about.UID, "operation": about.Operation, "resource": about.Resource.Resource,
			"namespace": about.Namespace, "name": about.Name, "user": about.UserInfo.Username,
		})
		answer := &admissionv1.AdmissionResponse{UID: about.UID, Allowed: true}
		switch directory, last := path.Split(request.URL.Path); directory + last {
		case "/allow":
		case "/deny":
			answer.Allowed = false
			answer.Result = &metav1.Status{Message: "the webhook denies everything"}
		default:
			delay, err := time.ParseDuration(last)
			if directory != "/delay/" || err != nil {
				http.NotFound(response, request)
				return
			}
			select {
			case <-time.After(delay):
			case <-request.Context().Done():
				return
			}
		}
		review.Request, review.Response = nil, answer
		response.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(response).Encode(review)
	})
	return http.ListenAndServeTLS(address, certificate, key, nil)
}

// unlessThere takes it for no error that a thing is there already.
func unlessThere(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

const sampleGroup = "wardle.example.com"

var sampleVersions = []string{"v1alpha1", "v1beta1"}
