// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/localcluster"
)

const (
	image   = "testprogram"
	port    = 8080
	patient = 30 * time.Second
)

// cluster is what the tests share: each has a namespace of its own in it.
type cluster struct {
	*localcluster.Cluster
	client *kubernetes.Clientset
}

// TestCluster is one cluster, and what one may expect of it.
func TestCluster(t *testing.T) {
	c := &cluster{Cluster: localcluster.Start(t, localcluster.Options{Images: testImage})}
	var err error
	if c.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		test func(*testing.T, *cluster)
	}{
		{"a container sees its image and its volumes, and nothing of this machine", testFiles},
		{"a container has the environment that its Pod asks for", testEnvironment},
		{"a Pod's token is bound to it", testIdentity},
		{"an edit of a ConfigMap arrives", testConfigMapUpdate},
		{"a Pod is ready as its probe says", testReadiness},
		{"a container that is not live is restarted", testLiveness},
		{"a container that ended leaves its message and is restarted", testRestart},
		{"a process is killed", testKill},
		{"a deleted Pod has its grace", testDeletion},
		{"a Pod of a job runs once", testRunOnce},
		{"a sidecar starts first and ends last", testSidecar},
		{"the API server has a container's logs", testLogs},
		{"the API server connects to a port", testPortForward},
		{"an image that is not there is not pulled", testUnknownImage},
		{"a Pod whose ConfigMap is missing waits for it", testMissingConfigMap},
		{"a node that is cut off is not ready, and loses its Pods", testCutNode},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, c) })
	}
}

func testImage(ctx context.Context, dir string) (map[string]localcluster.Image, error) {
	program := filepath.Join(dir, "testprogram")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./testprogram")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, output)
	}
	return map[string]localcluster.Image{image: {
		Files:      map[string]string{"/bin/testprogram": program},
		Entrypoint: []string{"/bin/testprogram"},
		User:       65532,
		Group:      65532,
	}}, nil
}

func testFiles(t *testing.T, c *cluster) {
	p := c.running(t, func(spec *corev1.PodSpec, container *corev1.Container) {
		spec.Volumes = []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		container.VolumeMounts = []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}}
		container.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: ptr.To(true), RunAsNonRoot: ptr.To(true)}
	})
	if got, want := ask[[]string](t, c, p, "list", path("/")), []string{"bin", "dev", "etc", "proc", "scratch", "var"}; !slices.Equal(got, want) {
		t.Errorf("the root directory has %v, want %v", got, want)
	}
	if got := ask[string](t, c, p, "file", path("/etc/hostname")); got != "pod\n" {
		t.Errorf("the host name is %q", got)
	}
	if got := ask[string](t, c, p, "write", path("/scratch/new")); got != "written" {
		t.Errorf("writing to a volume: %s", got)
	}
	if _, err := c.Get(t.Context(), p, "http", "write?"+path("/new").Encode()); err == nil || !strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("writing to the root directory: %v, want that it is read-only", err)
	}
}

func testEnvironment(t *testing.T, c *cluster) {
	field := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	p := c.running(t, func(_ *corev1.PodSpec, container *corev1.Container) {
		container.Env = []corev1.EnvVar{
			{Name: "NAME", ValueFrom: field("metadata.name")},
			{Name: "UID", ValueFrom: field("metadata.uid")},
			{Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "IP", ValueFrom: field("status.podIP")},
			{Name: "GREETING", Value: "I am $(NAME), not $$(NAME) or $(NOBODY)"},
		}
	})
	environment := ask[[]string](t, c, p, "environment", nil)
	for _, want := range []string{
		"NAME=pod", "UID=" + string(p.UID), "NODE=" + p.Spec.NodeName, "IP=" + p.Status.PodIP,
		"GREETING=I am pod, not $(NAME) or $(NOBODY)", "KUBERNETES_SERVICE_HOST=10.0.0.1",
	} {
		if !slices.Contains(environment, want) {
			t.Errorf("the environment is %v, want %s in it", environment, want)
		}
	}
}

func testIdentity(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	user := ask[authenticationv1.UserInfo](t, c, p, "identity", nil)
	if want := "system:serviceaccount:" + p.Namespace + ":default"; user.Username != want {
		t.Errorf("the Pod is known as %q, want %q", user.Username, want)
	}
	if got := user.Extra["authentication.kubernetes.io/pod-uid"]; len(got) != 1 || got[0] != string(p.UID) {
		t.Errorf("the API server knows the Pod by the UID %q, want %q", got, p.UID)
	}
}

func withConfigMap(name string) func(*corev1.PodSpec, *corev1.Container) {
	return func(spec *corev1.PodSpec, container *corev1.Container) {
		spec.Volumes = []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
		}}}
		container.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/config", ReadOnly: true}}
	}
}

func testConfigMapUpdate(t *testing.T, c *cluster) {
	namespace := c.namespace(t)
	configMaps := c.client.CoreV1().ConfigMaps(namespace)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config"}, Data: map[string]string{"a": "old", "b": "old"}}
	if _, err := configMaps.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	p := c.await(t, c.create(t, namespace, pod(withConfigMap("config"))), "it is ready", isReady)
	if got := ask[string](t, c, p, "file", path("/etc/config/a")); got != "old" {
		t.Errorf("the file has %q", got)
	}
	config.Data = map[string]string{"a": "new", "c": "new"}
	if _, err := configMaps.Update(t.Context(), config, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file has the new content", func(context.Context) (bool, error) {
		return ask[string](t, c, p, "file", path("/etc/config/a")) == "new", nil
	})
	eventually(t, "there are the new names", func(context.Context) (bool, error) {
		names := slices.DeleteFunc(ask[[]string](t, c, p, "list", path("/etc/config")), func(name string) bool {
			return strings.HasPrefix(name, "..")
		})
		return slices.Equal(names, []string{"a", "c"}), nil
	})
}

func testReadiness(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	if _, err := c.Get(t.Context(), p, "http", "sicken"); err != nil {
		t.Fatal(err)
	}
	p = c.await(t, p, "it is not ready", func(p *corev1.Pod) bool { return !isReady(p) })
	if p.Status.ContainerStatuses[0].RestartCount != 0 {
		t.Error("the container was restarted")
	}
}

func testLiveness(t *testing.T, c *cluster) {
	p := c.running(t, func(_ *corev1.PodSpec, container *corev1.Container) {
		container.LivenessProbe = container.ReadinessProbe.DeepCopy()
		container.LivenessProbe.FailureThreshold = 2
	})
	if _, err := c.Get(t.Context(), p, "http", "sicken"); err != nil {
		t.Fatal(err)
	}
	p = c.await(t, p, "its container runs again", hasRestarted)
	if last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated; last.Message != "ended when asked to" {
		t.Errorf("the container ended like this: %+v, want that it was asked to", last)
	}
}

func hasRestarted(p *corev1.Pod) bool {
	return isReady(p) && p.Status.ContainerStatuses[0].RestartCount > 0
}

func testRestart(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	first := p.Status.ContainerStatuses[0].ContainerID
	// The answer is lost: the program is gone.
	_, _ = c.Get(t.Context(), p, "http", "exit?message=farewell")
	p = c.await(t, p, "its container runs again", hasRestarted)
	last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated
	if last.ExitCode != 3 || last.Reason != "Error" || last.Message != "farewell" || last.ContainerID != first {
		t.Errorf("the container ended like this: %+v", last)
	}
	if now := p.Status.ContainerStatuses[0].ContainerID; now == first {
		t.Errorf("the container has the same ID as before: %s", now)
	}
}

func testKill(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	if err := c.KillProcess(p, "main"); err != nil {
		t.Fatal(err)
	}
	restarted := c.await(t, p, "its container runs again", hasRestarted)
	if last := restarted.Status.ContainerStatuses[0].LastTerminationState.Terminated; last.ExitCode != 137 || last.Reason != "Error" {
		t.Errorf("the container ended like this: %+v, want exit code 137", last)
	}
	if restarted.Status.PodIP != p.Status.PodIP {
		t.Errorf("the Pod's address was %s and is %s", p.Status.PodIP, restarted.Status.PodIP)
	}
}

func testDeletion(t *testing.T, c *cluster) {
	p := c.running(t, func(spec *corev1.PodSpec, _ *corev1.Container) {
		spec.TerminationGracePeriodSeconds = ptr.To(int64(60))
	})
	pods := c.client.CoreV1().Pods(p.Namespace)
	watch, err := pods.Watch(t.Context(), metav1.ListOptions{ResourceVersion: p.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if err := pods.Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(patient)
	for {
		select {
		case <-timeout:
			t.Fatal("the Pod was not deleted")
		case event := <-watch.ResultChan():
			if event.Type != "DELETED" {
				continue
			}
			last, ok := event.Object.(*corev1.Pod)
			if !ok || last.Status.Phase != corev1.PodSucceeded || last.Status.ContainerStatuses[0].State.Terminated.Message != "ended when asked to" {
				t.Errorf("the last that was seen of the Pod was %+v", last.Status)
			}
			return
		}
	}
}

func testRunOnce(t *testing.T, c *cluster) {
	p := c.running(t, func(spec *corev1.PodSpec, _ *corev1.Container) { spec.RestartPolicy = corev1.RestartPolicyNever })
	_, _ = c.Get(t.Context(), p, "http", "exit?message=done")
	p = c.await(t, p, "it has failed", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	if got := p.Status.ContainerStatuses[0].State.Terminated; got.ExitCode != 3 || got.Message != "done" {
		t.Errorf("the container ended like this: %+v", got)
	}
	if err := c.client.CoreV1().Pods(p.Namespace).Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Pod is deleted", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

func testSidecar(t *testing.T, c *cluster) {
	p := c.running(t, func(spec *corev1.PodSpec, container *corev1.Container) {
		spec.RestartPolicy = corev1.RestartPolicyNever
		sidecar := *container
		sidecar.Name, sidecar.Args, sidecar.Ports = "sidecar", []string{fmt.Sprint(port + 1)}, nil
		sidecar.ReadinessProbe, sidecar.RestartPolicy = nil, ptr.To(corev1.ContainerRestartPolicyAlways)
		spec.InitContainers = []corev1.Container{sidecar}
	})
	began := func(status corev1.ContainerStatus) time.Time { return status.State.Running.StartedAt.Time }
	if began(p.Status.ContainerStatuses[0]).Before(began(p.Status.InitContainerStatuses[0])) {
		t.Error("the sidecar started after the main container")
	}
	_, _ = c.Get(t.Context(), p, "http", "exit")
	c.await(t, p, "the sidecar has ended, too", func(p *corev1.Pod) bool {
		sidecar := p.Status.InitContainerStatuses[0].State.Terminated
		return p.Status.Phase == corev1.PodFailed && sidecar != nil && sidecar.Message == "ended when asked to"
	})
}

func testLogs(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	pods := c.client.CoreV1().Pods(p.Namespace)
	if err := pods.Delete(t.Context(), p.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	stream, err := pods.GetLogs(p.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Close() }()
	if text, err := io.ReadAll(stream); err != nil || !strings.HasPrefix(string(text), "listening\n") {
		t.Errorf("the log is %q, %v", text, err)
	}
}

func testPortForward(t *testing.T, c *cluster) {
	p := c.running(t, nil)
	url := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(p.Namespace).Name(p.Name).SubResource("portforward").URL()
	dialer, err := portforward.NewSPDYOverWebsocketDialer(url, c.Config())
	if err != nil {
		t.Fatal(err)
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.New(dialer, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var forwarding errgroup.Group
	forwarding.Go(forwarder.ForwardPorts)
	defer func() {
		close(stop)
		if err := forwarding.Wait(); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case <-time.After(patient):
		t.Fatal("the port is not forwarded")
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second connection, too
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patient}
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/file?path=/etc/hostname", ports[0].Local))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if want := "\"pod\\n\"\n"; err != nil || string(answer) != want {
			t.Errorf("the Pod answered %q, %v; want %q", answer, err, want)
		}
	}
}

func testUnknownImage(t *testing.T, c *cluster) {
	p := c.create(t, c.namespace(t), pod(func(_ *corev1.PodSpec, container *corev1.Container) { container.Image = "example.org/unknown:v1" }))
	p = c.await(t, p, "it waits for its image", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting.Reason == "ImagePullBackOff"
	})
	if p.Status.Phase != corev1.PodPending {
		t.Errorf("the Pod is %s, want Pending", p.Status.Phase)
	}
	if got := p.Status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(got, `"example.org/unknown:v1"`) || !strings.Contains(got, image) {
		t.Errorf("the message %q does not name the image and those that there are", got)
	}
}

func testMissingConfigMap(t *testing.T, c *cluster) {
	namespace := c.namespace(t)
	p := c.create(t, namespace, pod(withConfigMap("late")))
	c.await(t, p, "it says what is missing", func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && strings.Contains(p.Status.ContainerStatuses[0].State.Waiting.Message, `configmaps "late" not found`)
	})
	late := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	if _, err := c.client.CoreV1().ConfigMaps(namespace).Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.await(t, p, "it is ready", isReady)
}

func testCutNode(t *testing.T, c *cluster) {
	const node = "node-2"
	p := c.running(t, func(spec *corev1.PodSpec, _ *corev1.Container) {
		spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
		spec.Tolerations = []corev1.Toleration{{
			Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: ptr.To(int64(1)),
		}}
	})
	tolerant := pod(func(spec *corev1.PodSpec, _ *corev1.Container) {
		spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	})
	tolerant.Name = "tolerant"
	tolerant = c.await(t, c.create(t, p.Namespace, tolerant), "it is ready", isReady)
	if err := c.CutNode(node, true); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if answer, err := c.Get(ctx, p, "http", "health"); err == nil {
		t.Errorf("the Pod answered %q", answer)
	}
	nodeReady := func(want corev1.ConditionStatus) func(context.Context) (bool, error) {
		return func(ctx context.Context) (bool, error) {
			n, err := c.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			for _, condition := range n.Status.Conditions {
				if condition.Type == corev1.NodeReady {
					return condition.Status == want, nil
				}
			}
			return false, nil
		}
	}
	eventually(t, "the node is not ready", nodeReady(corev1.ConditionUnknown))
	c.await(t, p, "it is evicted, which its node does not learn", func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
	c.await(t, tolerant, "it is not ready for all that the cluster knows", func(p *corev1.Pod) bool { return !isReady(p) })
	if err := c.CutNode(node, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is ready", nodeReady(corev1.ConditionTrue))
	tolerant = c.await(t, tolerant, "it is ready again", isReady)
	if restarts := tolerant.Status.ContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("the container of the Pod that stayed was restarted %d times", restarts)
	}
	eventually(t, "the Pod is gone", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}
