package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster asks the server what is there.
type cluster struct {
	client kubernetes.Interface
}

func newCluster(l layout) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig("admin"))
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	config.UserAgent = "control-plane"
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	return &cluster{client}, err
}

// listens waits until somebody answers at an address.
func listens(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		return until(ctx, func(context.Context) error {
			connection, err := net.Dial(network, address)
			if err == nil {
				err = connection.Close()
			}
			return err
		})
	}
}

func (c *cluster) apiserverReady(ctx context.Context) error {
	return until(ctx, func(ctx context.Context) error {
		return c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// controllersReady waits for what a usual namespace has.
func (c *cluster) controllersReady(ctx context.Context) error {
	return until(ctx, func(ctx context.Context) error {
		if _, err := c.client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{}); err != nil {
			return err
		}
		_, err := c.client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err
	})
}

// makeNodes makes nodes whose kubelet is at that port.
func (c *cluster) makeNodes(ctx context.Context, count, port int) error {
	for i := range count {
		name := fmt.Sprintf("node-%d", i+1)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
			},
		}}
		_, err := c.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if unlessThere(err) != nil {
			return err
		}
		// One of an earlier start has the port that kwok had then.
		endpoint := fmt.Sprintf(`{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}}}}`, port)
		if _, err := c.client.CoreV1().Nodes().PatchStatus(ctx, name, []byte(endpoint)); err != nil {
			return err
		}
	}
	return nil
}

// freeNodes takes the nodes from a kwok that has ended: the next one would wait 40 s for each.
func (c *cluster) freeNodes(ctx context.Context) error {
	leases := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	return leases.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}

// nodesReady waits until that many nodes are ready and pods may be placed on them.
func (c *cluster) nodesReady(ctx context.Context, count int) error {
	return until(ctx, func(ctx context.Context) error {
		nodes, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready := 0
		for _, node := range nodes.Items {
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0 {
					ready++
				}
			}
		}
		if ready < count {
			return fmt.Errorf("%d of %d nodes are ready", ready, count)
		}
		return nil
	})
}

// writeKwokConfig asks kwok's binary for the stages that its pods and nodes go through.
func writeKwokConfig(l layout, kwok string) error {
	config, err := exec.Command(kwok, "print-config", "--pod-log", l.podLog()).Output()
	if err != nil {
		return fmt.Errorf("%s print-config: %w", kwok, err)
	}
	return os.WriteFile(l.kwokConfig(), config, 0o600)
}

func ready(context.Context) error { return nil }

// until tries until it works, or gives the last error.
func until(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// freePort finds a port for a program that cannot share one. It lies below those that the system gives out by itself.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 10000 + rand.IntN(20000)
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, err
}
