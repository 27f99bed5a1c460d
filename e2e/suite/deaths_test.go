// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/pkg/lease"
)

// What replicas log.
const (
	deathKnown   = "A replica is known to have ended"
	deathsUnused = "Known deaths are not used"
)

// The kubelet reports that the container of a replica has terminated, with the message that the replica left in it. The
// others take its shards over at once, long before its session expires.
func TestKnownDeathIsTakenOverAtOnce(t *testing.T) {
	t.Parallel()
	timings := lease.Relaxed
	c := newCluster(t)
	d := c.deployTypes(t, "relaxed", "widgets", "gadgets", "gizmos", "sprockets")
	d.launchInPods(t, "a", "b", "c")
	before := d.await(t, "three replicas to share four shards", fleet.Spread(4, 3))
	victim := d.Replica(busiest(before).Pod)
	orphans := fleet.ShardsOf(before, victim.Name())

	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	killed, last := time.Now(), d.lastHeartbeat(t, victim)
	message := d.terminationMessage(t, victim)
	if id, err := lease.ParseIdentity(sessionOf(before, victim)); err != nil || !strings.Contains(message, id.Container+"."+id.Boot) {
		t.Errorf("the termination message is %q, want the nonce of %v in it (%v)", message, id, err)
	}
	d.setStatus(t, victim, corev1.PodRunning, corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137, Message: message},
	})
	d.await(t, "the others to hold everything", fleet.All(fleet.Gone(victim.Name()), fleet.Spread(4, 2)))
	for _, shard := range orphans {
		acquired := d.acquired(t, shard)
		t.Logf("%s was held again %s after the kill", shard, acquired.Sub(killed).Round(time.Millisecond))
		if gap := acquired.Sub(last); gap >= timings.LeaseDuration {
			t.Errorf("%s was taken over %s after the last heartbeat: that is not before the session has expired (%s)", shard, gap, timings.LeaseDuration)
		}
	}
	for _, r := range d.Replicas() {
		if n := strings.Count(d.log(t, r.Name()), deathKnown); n != 1 {
			t.Errorf("%s tells %d times of a death, want once", r.Name(), n)
		}
	}
	d.journal(t).checkEpochs(t)
}

// A Pod that is deleted, or has failed according to somebody who cannot know, may still be at work. Its shards stay with it
// until its session has expired.
func TestOnlyTheKubeletKnowsADeath(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployTypes(t, "fast", "widgets", "gadgets", "gizmos", "sprockets")
	d.launchInPods(t, "a", "b", "c", "d")
	before := d.await(t, "four replicas to share four shards", fleet.Spread(4, 4))

	deleted, failed, lost := d.Replica("a"), d.Replica("b"), d.Replica("c")
	last := map[*fleet.Replica]time.Time{}
	for _, victim := range []*fleet.Replica{deleted, failed, lost} {
		if err := victim.Kill(); err != nil {
			t.Fatal(err)
		}
		last[victim] = d.lastHeartbeat(t, victim)
	}
	if err := c.kube.CoreV1().Pods(d.Namespace()).Delete(t.Context(), deleted.Name(), metav1.DeleteOptions{GracePeriodSeconds: ptr.To(int64(0))}); err != nil {
		t.Fatal(err)
	}
	d.setStatus(t, failed, corev1.PodFailed, corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 137, Message: "the node is gone"},
	})
	d.setStatus(t, lost, corev1.PodFailed, corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "ContainerStatusUnknown", ExitCode: 137, Message: d.terminationMessage(t, lost)},
	})

	d.await(t, "the last replica to hold everything", fleet.Spread(4, 1))
	for victim, heard := range last {
		for _, shard := range fleet.ShardsOf(before, victim.Name()) {
			if gap := d.acquired(t, shard).Sub(heard); gap < timings.LeaseDuration {
				t.Errorf("%s was taken from %s %s after its last heartbeat, before its session had expired (%s)", shard, victim.Name(), gap, timings.LeaseDuration)
			}
		}
	}
	if log := d.log(t, "d"); strings.Contains(log, deathKnown) {
		t.Error("the last replica takes something for a death that proves none")
	}
}

// Without the permission to read Pods a replica says so, once, and everything else works: sessions expire.
func TestKnownDeathsNeedPermission(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployTypes(t, "fast", "widgets", "gadgets")
	d.revoke(t, "pods")
	d.launchInPods(t, "a", "b")
	before := d.await(t, "two replicas to share two shards", fleet.Spread(2, 2))
	victim := d.Replica("a")
	orphans := fleet.ShardsOf(before, victim.Name())
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	last := d.lastHeartbeat(t, victim)
	d.setStatus(t, victim, corev1.PodRunning, corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 137, Message: d.terminationMessage(t, victim)},
	})
	d.await(t, "the other to hold everything", fleet.Spread(2, 1))
	for _, shard := range orphans {
		if gap := d.acquired(t, shard).Sub(last); gap < timings.LeaseDuration {
			t.Errorf("%s was taken over %s after the last heartbeat, before the session had expired (%s)", shard, gap, timings.LeaseDuration)
		}
	}
	if n := strings.Count(d.log(t, "b"), deathsUnused); n != 1 {
		t.Errorf("the log says %d times that known deaths are not used, want once", n)
	}
}

// deployTypes installs a group that reconciles these types, with a preset of timings.
func (c *cluster) deployTypes(t *testing.T, preset string, plurals ...string) *deployment {
	t.Helper()
	hook := serveHook(t, answerWith(reflectSpec))
	var roles []any
	for _, r := range rolesFor(webhook(hook, hookTimeout), c.createTypes(t, plurals...)...) {
		roles = append(roles, r.configuration())
	}
	configuration, err := yaml.Marshal(map[string]any{
		"apiVersion": "shardctl.dev/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]any{"name": c.group},
		"spec": map[string]any{
			"namespace": c.namespace,
			"timings":   map[string]any{"preset": preset},
			"http":      map[string]any{"address": "127.0.0.1:0"},
			"roles":     roles,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &deployment{cluster: c, Fleet: fleet.Start(t, fleet.Options{
		Cluster: controlPlane, Binary: binary, Config: configuration, LayoutRecord: true,
		Env: []string{"GORACE=" + os.Getenv("GORACE")},
	})}
}

// launchInPods starts replicas, each with a file for its termination message.
func (d *deployment) launchInPods(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		d.launchWith(t, name, d.withTerminationLog(t, name))
	}
}

// withTerminationLog makes a file for the replica's termination message, as a kubelet does, and returns the argument for it.
func (d *deployment) withTerminationLog(t *testing.T, name string) string {
	t.Helper()
	path := d.terminationLog(name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return "--termination-log=" + path
}

func (d *deployment) terminationLog(name string) string {
	return filepath.Join(d.LogDir(), name+".termination")
}

// terminationMessage is what a kubelet would find now.
func (d *deployment) terminationMessage(t *testing.T, r *fleet.Replica) string {
	t.Helper()
	text, err := os.ReadFile(d.terminationLog(r.Name()))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// setStatus reports the state of the replica's one container, in the place of a kubelet.
func (d *deployment) setStatus(t *testing.T, r *fleet.Replica, phase corev1.PodPhase, state corev1.ContainerState) {
	t.Helper()
	pods := d.cluster.kube.CoreV1().Pods(d.Namespace())
	pod, err := pods.Get(t.Context(), r.Name(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = phase
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: pod.Spec.Containers[0].Name, State: state}}
	if _, err := pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
