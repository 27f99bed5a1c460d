// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// described are the Events that `kubectl describe lease` shows for a shard, found as it finds them: "reason message".
func (d *deployment) described(t *testing.T, shard string) []string {
	t.Helper()
	core := d.cluster.kube.CoreV1()
	l, err := d.cluster.kube.CoordinationV1().Leases(d.Namespace()).Get(t.Context(), lease.ShardLeaseName(d.Group(), shard), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := core.Events(d.Namespace()).SearchWithContext(t.Context(), scheme.Scheme, l)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
	var all []string
	for _, e := range list.Items {
		all = append(all, e.Reason+" "+e.Message)
		if e.ReportingController != "shardctl.dev" || e.Related == nil || e.Related.Kind != "Pod" || e.Related.Name != e.ReportingInstance ||
			e.Related.UID != d.Replica(e.ReportingInstance).UID() {
			t.Errorf("Event %q is of %s %s, related to %v", e.Message, e.ReportingController, e.ReportingInstance, e.Related)
		}
	}
	return all
}

// awaitDescribed waits for an Event of the shard.
func (d *deployment) awaitDescribed(t *testing.T, shard, want string) {
	t.Helper()
	eventually(t, "there is an Event", func() error {
		if all := d.described(t, shard); !slices.Contains(all, want) {
			return fmt.Errorf("%q is not among\n%s", want, strings.Join(all, "\n"))
		}
		return nil
	})
}

// What became of a shard is told by the Events of its Lease: who got it from whom and why, in which epoch.
func TestEventsTellWhatBecameOfAShard(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	shard := "widgets." + c.apiGroup

	d.launch(t, "a")
	d.await(t, "the first replica to hold both", holds("a", 2))
	d.awaitDescribed(t, shard, fmt.Sprintf("Acquired a acquired %s: vacant (epoch 1)", shard))

	d.launch(t, "b")
	d.await(t, "two replicas to share them", fleet.Spread(2, 2))
	first := d.holderOf(t, shard).Name()
	second := map[string]string{"a": "b", "b": "a"}[first]
	epoch := d.epochOf(t, shard)
	d.terminate(t, d.Replica(first))
	d.await(t, "the other to hold both", holds(second, 2))
	d.awaitDescribed(t, shard, fmt.Sprintf("HandedOver %s handed %s over to %s: leaving (epoch %d)", first, shard, second, epoch))
	d.awaitDescribed(t, shard, fmt.Sprintf("Acquired %s acquired %s from %s: transfer (epoch %d)", second, shard, first, epoch+1))

	d.launch(t, "c")
	d.await(t, "the third to have its share", fleet.Spread(2, 2))
	victim := d.holderOf(t, shard).Name()
	last := map[string]string{second: "c", "c": second}[victim]
	epoch = d.epochOf(t, shard)
	if err := d.Replica(victim).Kill(); err != nil {
		t.Fatal(err)
	}
	d.await(t, "the last to hold both", holds(last, 2))
	d.awaitDescribed(t, shard, fmt.Sprintf("Acquired %s acquired %s from %s: take-over (epoch %d)", last, shard, victim, epoch+1))
	d.terminate(t, d.Replica(last))
	d.awaitDescribed(t, shard, fmt.Sprintf("Released %s released %s: leaving (epoch %d)", last, shard, epoch+1))
	for _, one := range types {
		d.checkAcquired(t, one.shard())
	}
	t.Logf("kubectl describe shows\n%s", strings.Join(d.described(t, shard), "\n"))
}

// checkAcquired demands one Event for each time that the shard's Lease has named another holder, and that it says who was the
// last before, if there was one.
func (d *deployment) checkAcquired(t *testing.T, shard string) {
	t.Helper()
	last := ""
	for _, r := range d.journal(t).shards[shard] {
		if r.holder == "" || r.holder == last {
			continue
		}
		from, to := status.PodOf(last), status.PodOf(r.holder)
		prefix := fmt.Sprintf("Acquired %s acquired %s", to, shard)
		if last != "" {
			prefix += " from " + from
		}
		last = r.holder
		suffix := fmt.Sprintf(" (epoch %d)", r.epoch)
		eventually(t, "there is an Event", func() error {
			all := d.described(t, shard)
			tells := func(event string) bool {
				return strings.HasPrefix(event, prefix+": ") && strings.HasSuffix(event, suffix)
			}
			if !slices.ContainsFunc(all, tells) {
				return fmt.Errorf("none is %q ... %q among\n%s", prefix, suffix, strings.Join(all, "\n"))
			}
			return nil
		})
	}
}

// epochOf is the shard's epoch.
func (d *deployment) epochOf(t *testing.T, shard string) int32 {
	t.Helper()
	l, err := d.cluster.kube.CoordinationV1().Leases(d.Namespace()).Get(t.Context(), lease.ShardLeaseName(d.Group(), shard), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease.DecodeShard(l).Epoch
}
