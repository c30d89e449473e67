// What people do with client-go, one part a run; prints what came of it.
//
//	client PART NAMESPACE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type client struct {
	ctx       context.Context
	config    *rest.Config
	typed     *kubernetes.Clientset
	namespace string
}

func main() {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	must(err)
	if len(os.Args) != 3 {
		must(errors.New("usage: client PART NAMESPACE"))
	}
	// Protobuf, as controllers ask for it.
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := client{ctx, config, kubernetes.NewForConfigOrDie(config), os.Args[2]}
	parts := map[string]func(){
		"crud": c.crud, "patch": c.patch, "apply": c.apply, "paging": c.paging,
		"watching": c.watching, "discovered": c.discovered,
	}
	parts[os.Args[1]]()
}

func (c client) crud() {
	maps := c.typed.CoreV1().ConfigMaps(c.namespace)
	body := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "made", Labels: map[string]string{"by": "go"}},
		Data:       map[string]string{"colour": "green"},
	}
	made, err := maps.Create(c.ctx, body, metav1.CreateOptions{})
	must(err)
	show("created", made.Data)
	_, err = maps.Create(c.ctx, body, metav1.CreateOptions{})
	refused("created twice", err)
	stale := made.DeepCopy()
	made.Data["colour"] = "blue"
	made, err = maps.Update(c.ctx, made, metav1.UpdateOptions{})
	must(err)
	show("replaced", made.Data)
	stale.Data["colour"] = "red"
	_, err = maps.Update(c.ctx, stale, metav1.UpdateOptions{})
	refused("replaced what is stale", err)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "secret"},
		Data:       map[string][]byte{"bytes": {0, 255, 254, 128}},
	}
	kept, err := c.typed.CoreV1().Secrets(c.namespace).Create(c.ctx, secret, metav1.CreateOptions{})
	must(err)
	show("secret", kept.Data)
	selected, err := maps.List(c.ctx, metav1.ListOptions{LabelSelector: "by in (go)", FieldSelector: "metadata.name=made"})
	must(err)
	show("selected", len(selected.Items))
	_, err = maps.Get(c.ctx, "nobody", metav1.GetOptions{})
	refused("not there", err)
	_, err = maps.Create(c.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "Not Valid"}}, metav1.CreateOptions{})
	refused("not valid", err)
	_, err = c.typed.CoreV1().ConfigMaps("nowhere").Create(c.ctx, body, metav1.CreateOptions{})
	refused("nowhere", err)
	role, err := c.typed.RbacV1().ClusterRoles().Get(c.ctx, "system:node", metav1.GetOptions{})
	must(err)
	show("name with a colon", role.Name)
	uid := made.UID
	must(maps.Delete(c.ctx, "made", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}))
	refused("deleted twice", maps.Delete(c.ctx, "made", metav1.DeleteOptions{}))
	_, err = maps.Create(c.ctx, body, metav1.CreateOptions{})
	must(err)
	must(maps.DeleteCollection(c.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "by=go"}))
	left, err := maps.List(c.ctx, metav1.ListOptions{LabelSelector: "by"})
	must(err)
	show("left", len(left.Items))
}

func (c client) patch() {
	apps := c.typed.AppsV1().Deployments(c.namespace)
	none := int32(0)
	selector := map[string]string{"app": "web"}
	_, err := apps.Create(c.ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none,
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: selector},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	must(err)
	patched := func(kind types.PatchType, body string) (*appsv1.Deployment, error) {
		return apps.Patch(c.ctx, "web", kind, []byte(body), metav1.PatchOptions{})
	}
	merged, err := patched(types.MergePatchType, `{"metadata":{"annotations":{"note":"merged"}}}`)
	must(err)
	show("merged", merged.Annotations["note"])
	side := `{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:1"}]}}}}`
	strategic, err := patched(types.StrategicMergePatchType, side)
	must(err)
	names := []string{}
	for _, one := range strategic.Spec.Template.Spec.Containers {
		names = append(names, one.Name)
	}
	sort.Strings(names)
	show("strategic", names)
	replaced, err := patched(types.JSONPatchType, `[{"op":"replace","path":"/spec/replicas","value":1}]`)
	must(err)
	show("by json", replaced.Spec.Replicas)
	_, err = patched(types.JSONPatchType, `[{"op":"test","path":"/spec/replicas","value":7}]`)
	refused("test failed", err)
	scale, err := apps.GetScale(c.ctx, "web", metav1.GetOptions{})
	must(err)
	// A controller writes to it too.
	named := metav1.ObjectMeta{Name: scale.Name, Namespace: scale.Namespace}
	wanted := &autoscalingv1.Scale{ObjectMeta: named, Spec: autoscalingv1.ScaleSpec{Replicas: 2}}
	scale, err = apps.UpdateScale(c.ctx, "web", wanted, metav1.UpdateOptions{})
	must(err)
	show("scaled", scale.Spec.Replicas)
}

func (c client) apply() {
	applied := func(colour, manager string, force bool) (*corev1.ConfigMap, error) {
		body := applycorev1.ConfigMap("applied", c.namespace).WithData(map[string]string{"colour": colour})
		options := metav1.ApplyOptions{FieldManager: manager, Force: force}
		return c.typed.CoreV1().ConfigMaps(c.namespace).Apply(c.ctx, body, options)
	}
	first, err := applied("green", "first", false)
	must(err)
	show("applied", first.Data)
	_, err = applied("blue", "second", false)
	refused("conflict", err)
	forced, err := applied("blue", "second", true)
	must(err)
	show("forced", forced.Data)
	for _, one := range forced.ManagedFields {
		show("manager", []string{one.Manager, string(one.Operation)})
	}
}

func (c client) paging() {
	maps := c.typed.CoreV1().ConfigMaps(c.namespace)
	for number := range 12 {
		_, err := maps.Create(c.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("page-%02d", number), Labels: map[string]string{"paged": "yes"},
		}}, metav1.CreateOptions{})
		must(err)
	}
	options := metav1.ListOptions{LabelSelector: "paged", Limit: 5}
	for {
		page, err := maps.List(c.ctx, options)
		must(err)
		names := []string{}
		for _, one := range page.Items {
			names = append(names, one.Name)
		}
		show("page", names)
		options.Continue = page.Continue
		if page.Continue == "" {
			break
		}
	}
	plain, err := maps.List(c.ctx, metav1.ListOptions{Limit: 5})
	must(err)
	show("remaining", plain.RemainingItemCount)
	exact, err := maps.List(c.ctx, metav1.ListOptions{
		LabelSelector: "paged", ResourceVersion: plain.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	})
	must(err)
	show("exact", len(exact.Items))
	_, err = maps.List(c.ctx, metav1.ListOptions{Limit: 5, Continue: "nonsense"})
	refused("no token", err)
}

// An informer, which lists and watches and does not stop, as every controller has one.
func (c client) watching() {
	factory := informers.NewSharedInformerFactoryWithOptions(c.typed, 0, informers.WithNamespace(c.namespace))
	lister := factory.Core().V1().ConfigMaps().Lister().ConfigMaps(c.namespace)
	factory.Start(c.ctx.Done())
	factory.WaitForCacheSync(c.ctx.Done())
	maps := c.typed.CoreV1().ConfigMaps(c.namespace)
	_, err := maps.Create(c.ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "seen"}}, metav1.CreateOptions{})
	must(err)
	c.until("seen", func() bool { _, err := lister.Get("seen"); return err == nil })
	must(maps.Delete(c.ctx, "seen", metav1.DeleteOptions{}))
	c.until("gone", func() bool { _, err := lister.Get("seen"); return apierrors.IsNotFound(err) })
	_, err = lister.List(labels.Everything())
	must(err)
}

func (c client) discovered() {
	groups, err := c.typed.Discovery().ServerGroups()
	must(err)
	names := []string{}
	for _, group := range groups.Groups {
		if !strings.HasSuffix(group.Name, ".example") {
			names = append(names, group.Name)
		}
	}
	sort.Strings(names)
	show("groups", names)
	kind := schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}
	jobs := dynamic.NewForConfigOrDie(c.config).Resource(kind).Namespace(c.namespace)
	job := map[string]any{}
	must(json.Unmarshal([]byte(`{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"nightly"},"spec":{
		"schedule":"0 3 * * *","suspend":true,"jobTemplate":{"spec":{"template":{"spec":{
		"restartPolicy":"Never","containers":[{"name":"main","image":"busybox:1"}]}}}}}}`), &job))
	made, err := jobs.Create(c.ctx, &unstructured.Unstructured{Object: job}, metav1.CreateOptions{})
	must(err)
	schedule, _, err := unstructured.NestedString(made.Object, "spec", "schedule")
	must(err)
	show("created", schedule)
	// Metadata alone, as the garbage collector asks for it.
	partial, err := metadata.NewForConfigOrDie(c.config).Resource(kind).Namespace(c.namespace).List(c.ctx, metav1.ListOptions{})
	must(err)
	show("metadata", []any{len(partial.Items), partial.Items[0].Name, partial.Items[0].Kind})
	must(jobs.Delete(c.ctx, "nightly", metav1.DeleteOptions{}))
	kind.Resource = "nonsense"
	_, err = dynamic.NewForConfigOrDie(c.config).Resource(kind).List(c.ctx, metav1.ListOptions{})
	refused("no such kind", err)
}

func (c client) until(what string, holds func() bool) {
	for !holds() {
		select {
		case <-c.ctx.Done():
			must(fmt.Errorf("not %s: %w", what, c.ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
	show(what, true)
}

func show(what string, value any) {
	text, err := json.Marshal(value)
	must(err)
	fmt.Printf("%s: %s\n", what, text)
}

func refused(what string, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		must(fmt.Errorf("%s: no refusal of the cluster: %v", what, err))
	}
	show(what, status.Status())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
