// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// leaseMemory is more than a replica of these tests needs, and less than some hundred copies of the largest Lease.
const leaseMemory = 600 << 20

// longText is near what the API server allows for all annotations of an object.
var longText = strings.Repeat("x", 240<<10)

// Both have the form of an identity, and are nobody's. The session of the other one is nowhere named.
const (
	stranger      = "stranger_3fa1b5c2-0000-4000-8000-000000000000_main.b1.1"
	otherStranger = "stranger_3fa1b5c2-0000-4000-8000-000000000001_main.b1.1"
)

// tampering is what somebody writes into a Lease that is none of his business.
type tampering struct {
	name string
	edit func(*coordinationv1.Lease)
	// stuck: the shard may stay without a leader until the Lease is deleted.
	stuck bool
	// epochs: those of the Lease do not follow on one another any more.
	epochs bool
}

func annotated(key, value string) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) { metav1.SetMetaDataAnnotation(&l.ObjectMeta, key, value) }
}

var shardTamperings = []tampering{
	{name: "foreign", stuck: true, edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To(otherStranger) }},
	{name: "foreign session", edit: func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To(stranger)
		annotated(lease.AnnotationSession, stranger)(l)
		annotated(lease.AnnotationDuration, "-5s")(l)
	}},
	{name: "client-go", epochs: true, edit: func(l *coordinationv1.Lease) {
		now := ptr.To(metav1.NowMicro())
		l.Spec = coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("host_7c1e"), LeaseDurationSeconds: ptr.To[int32](3), AcquireTime: now, RenewTime: now,
			LeaseTransitions: ptr.To(*l.Spec.LeaseTransitions + 1),
		}
	}},
	{name: "largest epoch", stuck: true, epochs: true, edit: func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](math.MaxInt32) }},
	{name: "first epoch", epochs: true, edit: func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = ptr.To[int32](0) }},
	{name: "no epoch", epochs: true, edit: func(l *coordinationv1.Lease) { l.Spec.LeaseTransitions = nil }},
	{name: "long annotation", edit: annotated("example.com/long", longText)},
	{name: "long carried", edit: annotated(lease.AnnotationCarried, `{"things":"`+strings.Repeat("9", 240<<10)+`"}`)},
	{name: "empty", epochs: true, edit: func(l *coordinationv1.Lease) { l.Spec = coordinationv1.LeaseSpec{} }},
	{name: "no annotations", edit: func(l *coordinationv1.Lease) { l.Annotations = nil }},
	{name: "no labels", edit: func(l *coordinationv1.Lease) { l.Labels = nil }},
	{name: "longest duration", edit: func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](math.MaxInt32) }},
	{name: "times to come", edit: func(l *coordinationv1.Lease) {
		l.Spec.RenewTime, l.Spec.AcquireTime = ptr.To(metav1.NewMicroTime(time.Now().AddDate(100, 0, 0))), ptr.To(metav1.NewMicroTime(time.Unix(0, 0)))
	}},
}

// Somebody writes into the Leases of a group at work what none of its replicas would. It gives no shard to two of them, costs
// them no memory, and what it leaves without a leader is back once the Lease is deleted, or by itself.
func TestTamperedShardLeases(t *testing.T) {
	t.Parallel()
	const each = 2
	c := newCluster(t)
	plurals := make([]string, len(shardTamperings))
	for i, one := range shardTamperings {
		plurals[i] = strings.NewReplacer(" ", "", "-", "").Replace(one.name) + "things"
	}
	types := c.createTypes(t, plurals...)
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b", "c")
	d.await(t, "three replicas to share all shards", fleet.Spread(len(types), 3))
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	stop := keepChanging(t, all, each)

	tampered := map[uint64]bool{} // revisions that are nobody's claims
	for i, one := range shardTamperings {
		tampered[d.tamper(t, lease.ShardLeaseName(d.Group(), types[i].shard()), one.edit)] = true
	}
	for i, one := range shardTamperings {
		if !one.stuck {
			d.await(t, "the shard to be held after: "+one.name, heldByMember(types[i].shard()))
		}
	}
	d.awaitRenewals(t, timings.LeaseDuration+2*time.Second) // nobody takes what is stuck
	stop()
	for i, one := range shardTamperings {
		if one.stuck {
			d.deleteLease(t, lease.ShardLeaseName(d.Group(), types[i].shard()))
		}
	}
	for i, one := range shardTamperings {
		d.await(t, "the shard to be held in the end after: "+one.name, heldByMember(types[i].shard()))
		all[i].awaitReconciled(t, each)
	}
	d.checkUnharmed(t, tampered, func(shard string) bool {
		i := slices.IndexFunc(types, func(r resourceType) bool { return r.shard() == shard })
		return !shardTamperings[i].epochs && !shardTamperings[i].stuck
	}, types...)
}

// memberTamperings are done to the member Lease of one replica, which comes back if that costs it its session.
var memberTamperings = []tampering{
	{name: "no holder", edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = nil }},
	{name: "holder is a stranger", edit: func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To(stranger) }},
	{name: "ended", edit: func(l *coordinationv1.Lease) { annotated(lease.AnnotationEnded, *l.Spec.HolderIdentity)(l) }},
	{name: "an attempt to come", edit: annotated(lease.AnnotationAttempt, strconv.FormatUint(math.MaxUint64, 10))},
	{name: "longest duration", edit: func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](math.MaxInt32) }},
	{name: "serves everything", edit: annotated(lease.AnnotationServes, strings.Repeat("things.example.com,", 12<<10))},
	{name: "long annotation", edit: annotated("example.com/long", longText)},
	{name: "empty", edit: func(l *coordinationv1.Lease) { l.Annotations, l.Spec = nil, coordinationv1.LeaseSpec{} }},
}

func TestTamperedMemberLeases(t *testing.T) {
	t.Parallel()
	const each = 5
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "a", "b", "c")
	d.await(t, "three replicas to share three shards", fleet.Spread(3, 3))
	stop := keepChanging(t, all, each)
	for two := range slices.Chunk(memberTamperings, 2) {
		what := "every replica to lead a shard after"
		for i, one := range two {
			d.tamper(t, d.memberLease(t, []string{"a", "b"}[i]).Name, one.edit)
			what += ": " + one.name
		}
		d.awaitTerms(t, what)
	}

	// The Lease of one says what that of another does, word by word.
	d.tamper(t, d.memberLease(t, "a").Name, func(l *coordinationv1.Lease) {
		other := d.memberLease(t, "b")
		l.Annotations, l.Spec = other.Annotations, other.Spec
	})
	d.awaitTerms(t, "every replica to lead a shard after its Lease was another's")

	// There is one more that says so; and one of the newest revision that nobody renews.
	for _, revision := range []string{"", strconv.Itoa(math.MaxInt32)} {
		copied := d.memberLease(t, "b")
		id, err := lease.ParseIdentity(*copied.Spec.HolderIdentity)
		if err != nil {
			t.Fatal(err)
		}
		if revision != "" {
			copied.Annotations[lease.AnnotationRevision] = revision
			copied.Spec.HolderIdentity = ptr.To(stranger)
		}
		copied.ObjectMeta = metav1.ObjectMeta{
			Name:   strings.ReplaceAll(copied.Name, string(id.UID), "3fa1b5c2-0000-4000-8000-000000000000"),
			Labels: copied.Labels, Annotations: copied.Annotations,
		}
		if _, err := c.kube.CoordinationV1().Leases(c.namespace).Create(t.Context(), &copied, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		d.awaitTerms(t, fmt.Sprintf("every replica to lead a shard beside a copy of revision %q", revision))
		d.deleteLease(t, copied.Name)
	}

	stop()
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	d.checkUnharmed(t, nil, func(string) bool { return true }, types...)
}

// What the API server does not take from anybody needs no defence here; if it ever does, the tests of package lease have it.
func TestTamperingThatTheAPIServerRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.createNamespace(t)
	for name, spec := range map[string]coordinationv1.LeaseSpec{
		"negative epoch":    {LeaseTransitions: ptr.To[int32](-1)},
		"no duration":       {LeaseDurationSeconds: ptr.To[int32](0)},
		"negative duration": {LeaseDurationSeconds: ptr.To[int32](-1)},
	} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{GenerateName: "refused-"}, Spec: spec}
		if _, err := c.kube.CoordinationV1().Leases(c.namespace).Create(t.Context(), l, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
			t.Errorf("%s: got %v, want it to be invalid", name, err)
		}
	}
}

// tamper changes a Lease whatever anybody else does to it, and returns the revision of the change.
func (d *deployment) tamper(t *testing.T, name string, edit func(*coordinationv1.Lease)) (revision uint64) {
	t.Helper()
	leases := d.cluster.kube.CoordinationV1().Leases(d.Namespace())
	backoff := retry.DefaultBackoff
	backoff.Steps = 20 // heartbeats come in between
	err := retry.RetryOnConflict(backoff, func() error {
		l, err := leases.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		edit(l)
		written, err := leases.Update(t.Context(), l, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		revision, err = strconv.ParseUint(written.ResourceVersion, 10, 64)
		return err
	})
	if err != nil {
		t.Fatalf("tampering with Lease %s: %v", name, err)
	}
	return revision
}

func (d *deployment) deleteLease(t *testing.T, name string) {
	t.Helper()
	err := d.cluster.kube.CoordinationV1().Leases(d.Namespace()).Delete(t.Context(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// memberLease is that of a replica's Pod.
func (d *deployment) memberLease(t *testing.T, pod string) coordinationv1.Lease {
	t.Helper()
	uid := string(d.Replica(pod).UID())
	var found coordinationv1.Lease
	eventually(t, "replica "+pod+" has a member Lease", func() error {
		leases := d.leases(t, lease.KindMember)
		i := slices.IndexFunc(leases, func(l coordinationv1.Lease) bool { return strings.Contains(l.Name, uid) })
		if i < 0 {
			return fmt.Errorf("there are %d, none of it", len(leases))
		}
		found = leases[i]
		if _, err := lease.ParseIdentity(ptr.Deref(found.Spec.HolderIdentity, "")); err != nil {
			return err // not renewed yet since it was tampered with
		}
		return nil
	})
	return found
}

// awaitTerms waits until each replica holds its share, and two heartbeats later still does.
func (d *deployment) awaitTerms(t *testing.T, what string) {
	t.Helper()
	replicas := len(d.Replicas())
	d.await(t, what, fleet.Spread(replicas, replicas))
	d.awaitRenewals(t, 2*timings.RenewInterval)
	d.await(t, what+", still", fleet.Spread(replicas, replicas))
}

// awaitRenewals waits until each replica has sent heartbeats for some time. (Others may have member Leases, too.)
func (d *deployment) awaitRenewals(t *testing.T, span time.Duration) {
	t.Helper()
	began := time.Now()
	for _, r := range d.Replicas() {
		eventually(t, r.Name()+" sends heartbeats", func() error {
			if passed := d.lastHeartbeat(t, r).Sub(began); passed < span {
				return fmt.Errorf("the last one was sent after %s", passed)
			}
			return nil
		})
	}
}

// heldByMember holds once a live session of the group has the shard.
func heldByMember(shard string) fleet.Condition {
	return func(s status.Status) error {
		if _, held := fleet.HolderOf(s, shard); !held {
			return fmt.Errorf("shard %s is not held", shard)
		}
		return nil
	}
}

// checkUnharmed looks at what was written: what somebody wrote into a Lease made no replica a holder, for that takes a claim of
// its own. Until a replica sees it, it goes on as the holder that it was; no other may write.
func (d *deployment) checkUnharmed(t *testing.T, tampered map[uint64]bool, epochs func(shard string) bool, types ...resourceType) {
	t.Helper()
	j := d.journal(t)
	for shard, reigns := range j.shards {
		forged := false // the Lease names the stranger because the test wrote that, not because a replica chose it
		j.shards[shard] = slices.DeleteFunc(reigns, func(r reign) bool {
			// What the replicas write while it does, to keep the stranger's writes out, is no claim either.
			forged = tampered[r.revision] || forged && r.holder == stranger
			return forged
		})
	}
	t.Logf("%d writes were looked at", j.checkExclusion(t, types...))
	maps.DeleteFunc(j.shards, func(shard string, _ []reign) bool { return !epochs(shard) })
	j.checkEpochs(t)
	for _, r := range d.Replicas() {
		checkPeakMemory(t, r, leaseMemory)
	}
}
