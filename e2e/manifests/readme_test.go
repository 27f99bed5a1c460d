// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// newcomer follows the README, with a kubectl and a cluster.
type newcomer struct {
	cluster *controlplane.ControlPlane
	client  *kubernetes.Clientset
	kubectl string
	cache   string
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	kubectl, err := controlplane.Kubectl(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	cluster := controlplane.Start(t, options())
	return &newcomer{
		cluster: cluster, client: kubernetes.NewForConfigOrDie(cluster.Config()), kubectl: kubectl, cache: t.TempDir(),
	}
}

// do runs kubectl in the root of the source, and returns the lines that it printed.
func (n *newcomer) do(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), n.kubectl, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+n.cluster.KubeconfigPath(), "KUBECACHEDIR="+n.cache)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return strings.Split(strings.TrimSpace(stdout.String()), "\n")
}

func expectAll(t *testing.T, lines []string, suffix string) {
	t.Helper()
	for _, line := range lines {
		if !strings.HasSuffix(line, suffix) {
			t.Errorf("kubectl says %q, want %q at the end", line, suffix)
		}
	}
}

func TestReadme(t *testing.T) {
	n := newNewcomer(t)
	expectAll(t, n.do(t, "apply", "-k", exampleOverlay), " created")
	replicas := n.runPods(t)
	n.do(t, "apply", "-f", "examples/decorator/objects.yaml")
	n.awaitStatus(t, "three replicas to share the shards", fleet.Spread(7, 3))
	n.awaitLabel(t, "red, size 1")
	n.expectNoWait(t)
	if !t.Run("apply again", func(t *testing.T) { testApplyAgain(t, n) }) {
		return
	}

	expectAll(t, n.do(t, "apply", "-k", generalFence), " created")
	expectAll(t, n.do(t, "apply", "-k", exampleFence), " created")
	n.awaitStatus(t, "the fence to be what the replicas' configuration calls for", func(s status.Status) error {
		if s.Fence.State != status.FenceMatching {
			return fmt.Errorf("the fence is %s", s.Fence)
		}
		return nil
	})
	n.do(t, "patch", "widgets", "example", "--type=merge", "--patch", `{"spec": {"color": "black"}}`)
	n.awaitLabel(t, "black, size 1")

	n.do(t, "delete", "-f", "examples/decorator/objects.yaml")
	for _, replica := range replicas {
		endReplica(t, replica)
	}
	n.do(t, "delete", "-k", exampleFence)
	n.do(t, "delete", "namespace", namespace) // the guard lets nobody else than the namespace controller delete the layout record
	n.do(t, "delete", "-k", exampleOverlay, "--ignore-not-found")
}

// runPods starts the program of each Pod of the Deployment, and a hook, on this machine.
func (n *newcomer) runPods(t *testing.T) []*fleet.Process {
	t.Helper()
	config := n.localConfiguration(t, runHook(t))
	var replicas []*fleet.Process
	for _, pod := range podsOf(t, n.client) {
		args := []string{"run", "--config=" + config, "--kubeconfig=" + n.actAs(t, &pod), "--termination-log=-"}
		env := append(os.Environ(), "POD_NAME="+pod.Name, "POD_UID="+string(pod.UID), "POD_NAMESPACE="+pod.Namespace, "SHARDCTL_CONTAINER="+name)
		replicas = append(replicas, start(t, binary, args, env, pod.Name))
	}
	return replicas
}

// actAs returns a kubeconfig with a token that is bound to the Pod.
func (n *newcomer) actAs(t *testing.T, pod *corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	token, err := n.client.CoreV1().ServiceAccounts(pod.Namespace).
		CreateToken(t.Context(), pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := n.cluster.WriteKubeconfig(path, n.cluster.ConfigForToken(token.Status.Token)); err != nil {
		t.Fatal(err)
	}
	return path
}

// localConfiguration is the ConfigMap's file for processes that share one machine.
func (n *newcomer) localConfiguration(t *testing.T, hook string) string {
	t.Helper()
	configMap, err := n.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "shardctl-config", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(configMap.Data["config.yaml"], "127.0.0.1:8088", hook)
	text = strings.Replace(text, "\nspec:\n", "\nspec:\n  http: {address: \"127.0.0.1:0\"}\n", 1)
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var listening = regexp.MustCompile(`listening on http://(\S+)`)

// runHook returns where the example's hook listens.
func runHook(t *testing.T) string {
	t.Helper()
	program, err := fleet.BuildProgram(t.Context(), "examples/decorator/hook", fleet.BuildOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "hook")
	hook, err := fleet.StartProcess(program, []string{"--listen=127.0.0.1:0"}, os.Environ(), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hook.Kill() })
	var address string
	await(t, 10*time.Second, "the hook to listen", func() error {
		text, err := os.ReadFile(log)
		if found := listening.FindSubmatch(text); found != nil {
			address = string(found[1])
			return nil
		}
		return fmt.Errorf("%w: %s", err, text)
	})
	return address
}

// start runs a program until the end of the test, whose log it shows if that has failed.
func start(t *testing.T, program string, args, env []string, name string) *fleet.Process {
	t.Helper()
	log := filepath.Join(t.TempDir(), name+".log")
	process, err := fleet.StartProcess(program, args, env, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Kill()
		if text, err := os.ReadFile(log); t.Failed() {
			t.Logf("%s (%v):\n%s", name, err, text)
		}
	})
	return process
}

// endReplica does what a kubelet does within the grace period.
func endReplica(t *testing.T, p *fleet.Process) {
	t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, 30*time.Second, "a replica to end", func() error {
		if p.Running() {
			return fmt.Errorf("process %d is running", p.PID())
		}
		return nil
	})
}

func (n *newcomer) awaitStatus(t *testing.T, what string, holds fleet.Condition) {
	t.Helper()
	await(t, time.Minute, what, func() error {
		output, err := exec.CommandContext(t.Context(), binary,
			"status", "--output=json", "--kubeconfig="+n.cluster.KubeconfigPath(), "--namespace="+namespace).Output()
		if err != nil {
			return err
		}
		var s status.Status
		if err := json.Unmarshal(output, &s); err != nil {
			return err
		}
		return holds(s)
	})
}

// awaitLabel waits until what the hook decides about the example's widget is attached to it.
func (n *newcomer) awaitLabel(t *testing.T, want string) {
	t.Helper()
	await(t, time.Minute, "the widget to be reconciled", func() error {
		attached, err := n.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(t.Context(), "widget-example", metav1.GetOptions{})
		if err == nil && attached.Data["label"] != want {
			return fmt.Errorf("its label is %q, want %q", attached.Data["label"], want)
		}
		return err
	})
}

// expectNoWait looks whether the layout record that was installed has saved the wait of a new group.
func (n *newcomer) expectNoWait(t *testing.T) {
	t.Helper()
	list, err := n.client.CoordinationV1().Leases(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: lease.LabelKind + "=" + lease.KindShard})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		shard := &list.Items[i]
		if took := lease.DecodeShard(shard).Acquired.Sub(shard.CreationTimestamp.Time); took > lease.Default.LeaseDuration-2*time.Second {
			t.Errorf("%s was claimed %v after it was made", shard.Name, took)
		}
	}
}

func (n *newcomer) layoutRecord(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	record, err := n.client.CoordinationV1().Leases(namespace).Get(t.Context(), lease.LayoutLeaseName(name), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// alwaysConfigured: kubectl sends a patch for the selector of a budget each time, and says so whatever comes of it.
func alwaysConfigured(line string) bool { return strings.HasPrefix(line, "poddisruptionbudget") }

// testApplyAgain applies what is there already, while a group runs on it.
func testApplyAgain(t *testing.T, n *newcomer) {
	before := n.layoutRecord(t)
	if len(lease.DecodeLayout(before).Shards) != 7 {
		t.Fatalf("the layout record is %v", before.Annotations)
	}
	for _, args := range [][]string{
		{"apply", "-k", exampleOverlay},
		{"apply", "-k", exampleOverlay, "--dry-run=server"},
		{"apply", "-k", exampleOverlay, "--server-side", "--force-conflicts"},
	} {
		lines := n.do(t, args...)
		if args[len(args)-1] == exampleOverlay {
			expectAll(t, slices.DeleteFunc(lines, alwaysConfigured), " unchanged")
		}
		if after := n.layoutRecord(t); after.Annotations[lease.AnnotationLayout] != before.Annotations[lease.AnnotationLayout] || after.UID != before.UID {
			t.Errorf("kubectl %s has changed the layout record from %v to %v", strings.Join(args, " "), before.Annotations, after.Annotations)
		}
	}
	n.awaitStatus(t, "the shards to be where they were", fleet.Spread(7, 3))
}
