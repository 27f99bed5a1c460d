// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// emptied is the deletion cost of a Pod that newer ones have taken everything from.
const emptied = "-100"

// A rolling update with a surge of one: every shard moves once, from an old Pod to a new one, and the old Pods that hold
// nothing any more are marked as the first to be deleted.
func TestRollingUpdateMovesEachShardOnce(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployTypes(t, "fast", "widgets", "gadgets", "gizmos", "sprockets")
	v1, v2 := d.replicaSet(t, 1, 2), d.replicaSet(t, 2, 2)

	d.launchOf(t, v1, "old-a")
	d.launchOf(t, v1, "old-b")
	before := d.await(t, "the old replicas to share four shards", fleet.Spread(4, 2))
	if got := d.revisions(t); got["old-a"] != 1 || got["old-b"] != 1 {
		t.Errorf("the member Leases say revisions %v, want 1", got)
	}

	d.launchOf(t, v2, "new-a")
	d.await(t, "the new replica to hold its share and one of the old ones nothing", fleet.All(fleet.Held(4), holds("new-a", 2), anyEmpty("old-a", "old-b")))
	empty, busy := d.Replica("old-a"), d.Replica("old-b")
	if d.holdsAny(t, "old-a") {
		empty, busy = busy, empty
	}
	d.awaitCost(t, empty.Name(), emptied)
	d.awaitCost(t, busy.Name(), "")
	d.terminate(t, empty)

	d.launchOf(t, v2, "new-b")
	after := d.await(t, "the new replicas to share four shards", fleet.All(fleet.Held(4), holds("new-a", 2), holds("new-b", 2)))
	d.awaitCost(t, busy.Name(), emptied)
	d.terminate(t, busy)
	if got := d.revisions(t); got["new-a"] != 2 || got["new-b"] != 2 {
		t.Errorf("the member Leases say revisions %v, want 2", got)
	}
	for i, shard := range after.Shards {
		if moves := shard.Epoch - before.Shards[i].Epoch; moves != 1 {
			t.Errorf("shard %s moved %d times, want once", shard.Name, moves)
		}
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
}

// A rollback in the middle of a rolling update: what is left of the old version is the newest from then on, and gets everything
// back, although it was told another revision when it started. Whoever held something all the time need not know of that yet.
func TestRollbackBringsTheShardsBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployTypes(t, "fast", "widgets", "gadgets", "gizmos", "sprockets")
	v1, v2 := d.replicaSet(t, 1, 2), d.replicaSet(t, 2, 2)

	d.launchOf(t, v1, "old-a")
	d.launchOf(t, v1, "old-b")
	d.await(t, "the old replicas to share four shards", fleet.Spread(4, 2))
	d.launchOf(t, v2, "new")
	d.await(t, "the new replica to hold its share and one of the old ones nothing", fleet.All(fleet.Held(4), holds("new", 2), anyEmpty("old-a", "old-b")))

	d.roll(t, v1, 3)
	d.await(t, "the old replicas to share four shards again", fleet.All(fleet.Held(4), holds("old-a", 2), holds("old-b", 2)))
	d.awaitCost(t, "old-a", "")
	d.awaitCost(t, "old-b", "")
	d.awaitCost(t, "new", emptied)
	if got := d.revisions(t); max(got["old-a"], got["old-b"]) != 3 || got["new"] != 2 {
		t.Errorf("the member Leases say revisions %v, want 3 of the old one that was empty and 2 of the new one", got)
	}
	d.terminate(t, d.Replica("new"))
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
}

// Without the permissions the revision is the one on the command line, no Pod is marked, and all else works. What is missing is
// told once.
func TestRollingUpdateNeedsNoPermission(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	d := c.deployTypes(t, "fast", "widgets", "gadgets")
	d.revoke(t, "pods")
	v1, v2 := d.replicaSet(t, 7, 2), d.replicaSet(t, 8, 2)

	d.launchOf(t, v1, "old", "--revision=1")
	before := d.await(t, "the old replica to hold both shards", fleet.Spread(2, 1))
	// Nobody knows that there are to be two, so the first takes half.
	d.launchOf(t, v2, "new-a", "--revision=2")
	d.await(t, "the first new replica to hold one shard", holds("new-a", 1))
	d.launchOf(t, v2, "new-b", "--revision=2")
	after := d.await(t, "the new replicas to hold a shard each", fleet.All(fleet.Held(2), holds("new-a", 1), holds("new-b", 1)))
	if got := d.revisions(t); got["old"] != 1 || got["new-a"] != 2 || got["new-b"] != 2 {
		t.Errorf("the member Leases say revisions %v, want those of the command line", got)
	}
	for i, shard := range after.Shards {
		if moves := shard.Epoch - before.Shards[i].Epoch; moves != 1 {
			t.Errorf("shard %s moved %d times, want once", shard.Name, moves)
		}
	}
	eventually(t, "the old replica tells that its Pod cannot be marked", func() error {
		if !strings.Contains(d.log(t, "old"), "deletion cost is not set") {
			return errors.New("its log has nothing of that")
		}
		return nil
	})
	d.awaitHeartbeats(t, 3)
	for text, want := range map[string]int{`permission="get pods"`: 1, `permission="get and patch pods"`: 1} {
		if n := strings.Count(d.log(t, "old"), text); n != want {
			t.Errorf("the log of the old replica has %d times %s, want %d", n, text, want)
		}
	}
	d.awaitCost(t, "old", "")
	d.terminate(t, d.Replica("old"))
	d.journal(t).checkEpochs(t)
}

// replicaSet makes one as the Deployment controller does. Nothing makes Pods of it: that controller is not running.
func (d *deployment) replicaSet(t *testing.T, revision, desired int) *appsv1.ReplicaSet {
	t.Helper()
	template := map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: fmt.Sprintf("template-%d", revision)}
	set, err := d.cluster.kube.AppsV1().ReplicaSets(d.Namespace()).Create(t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("v%d", revision), Labels: template,
			Annotations: map[string]string{
				"deployment.kubernetes.io/revision":         strconv.Itoa(revision),
				"deployment.kubernetes.io/desired-replicas": strconv.Itoa(desired),
			},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(0)),
			Selector: &metav1.LabelSelector{MatchLabels: template},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: template},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Image: "never-pulled"}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// roll makes a ReplicaSet the newest, as the Deployment controller does to roll back to it.
func (d *deployment) roll(t *testing.T, to *appsv1.ReplicaSet, revision int) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"%d"}}}`, revision)
	_, err := d.cluster.kube.AppsV1().ReplicaSets(d.Namespace()).Patch(t.Context(), to.Name, apitypes.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// launchOf starts a replica whose Pod is one of the ReplicaSet's.
func (d *deployment) launchOf(t *testing.T, set *appsv1.ReplicaSet, name string, args ...string) {
	t.Helper()
	d.launchPod(t, fleet.Pod{
		Name: name, Labels: set.Spec.Template.Labels,
		Owners: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
	}, args...)
}

// revisions are what the member Leases say, by Pod.
func (d *deployment) revisions(t *testing.T) map[string]int64 {
	t.Helper()
	revisions := map[string]int64{}
	for _, l := range d.leases(t, lease.KindMember) {
		m := lease.DecodeMember(&l)
		revisions[status.PodOf(m.Holder)] = m.Revision
	}
	return revisions
}

// awaitCost waits until the Pod has this deletion cost; empty for none.
func (d *deployment) awaitCost(t *testing.T, pod, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("Pod %s has the deletion cost %q", pod, want), func() error {
		p, err := d.cluster.kube.CoreV1().Pods(d.Namespace()).Get(t.Context(), pod, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got := p.Annotations[corev1.PodDeletionCost]; got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

func (d *deployment) holdsAny(t *testing.T, pod string) bool {
	t.Helper()
	s, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(fleet.ShardsOf(s, pod)) > 0
}

// holds holds if the Pod holds so many shards.
func holds(pod string, shards int) fleet.Condition {
	return func(s status.Status) error {
		if n := len(fleet.ShardsOf(s, pod)); n != shards {
			return fmt.Errorf("%s holds %d shards, not %d", pod, n, shards)
		}
		return nil
	}
}

// anyEmpty holds if one of the Pods holds no shard.
func anyEmpty(pods ...string) fleet.Condition {
	return func(s status.Status) error {
		for _, pod := range pods {
			if len(fleet.ShardsOf(s, pod)) == 0 {
				return nil
			}
		}
		return fmt.Errorf("each of %v holds a shard", pods)
	}
}
