// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/internal/metricstest"
	"github.com/shardctl/shardctl/pkg/lease"
)

// view is the Leases of a group as a watch shows them, written by members whose wall
// clocks are years apart.
type view struct {
	t        *testing.T
	follower *follower
	leases   map[string]*coordinationv1.Lease
	version  int
	gone     []string
}

// sessionDuration is that of all members of a view.
const sessionDuration = 15 * time.Second

func newView(t *testing.T, families ...string) *view {
	v := &view{t: t, leases: map[string]*coordinationv1.Lease{}}
	configured := map[string]lease.ShardSpec{}
	for _, f := range families {
		configured[f] = lease.ShardSpec{Name: f}
	}
	v.follower = &follower{
		group: "g", namespace: "ns", families: func() map[string]lease.ShardSpec { return configured },
		gone: func(shard string) { v.gone = append(v.gone, shard) },
	}
	return v
}

func identity(pod string, boot string, incarnation uint32) string {
	return lease.Identity{Replica: lease.Replica{Pod: pod, UID: types.UID("uid-" + pod), Container: "main", Boot: boot}, Incarnation: incarnation}.String()
}

func (v *view) put(name, kind, holder string, duration int32, annotations map[string]string) {
	v.version++
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID(name), ResourceVersion: strconv.Itoa(v.version),
		Labels: map[string]string{lease.LabelGroup: "g", lease.LabelKind: kind}, Annotations: annotations,
	}}
	if holder != "" {
		l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = &holder, &duration
	}
	v.leases[name] = l
}

// member is a heartbeat of a session; more are further annotations, by name and value.
func (v *view) member(holder string, more ...string) {
	annotations := map[string]string{lease.AnnotationAttempt: strconv.Itoa(v.version), lease.AnnotationReady: "true"}
	for i := 0; i < len(more); i += 2 {
		annotations[more[i]] = more[i+1]
	}
	id, err := lease.ParseIdentity(holder)
	if err != nil {
		v.t.Fatal(err)
	}
	name := lease.MemberLeaseName("g", id.Replica)
	v.put(name, lease.KindMember, holder, int32(sessionDuration/time.Second), annotations)
	wrong := metav1.NewMicroTime(time.Date(1990+len(id.Pod), 1, 1, 0, 0, v.version, 0, time.UTC))
	v.leases[name].Spec.RenewTime = &wrong
}

func (v *view) shard(name, holder string) {
	l := lease.ShardLeaseName("g", name)
	annotations := map[string]string{lease.AnnotationClaimed: l, lease.AnnotationDuration: sessionDuration.String()}
	if holder != "" {
		annotations[lease.AnnotationSession] = holder
	}
	v.put(l, lease.KindShard, holder, 1<<30, annotations)
}

// look shows the follower the Leases as they are now, and again whenever it asks for it
// within d.
func (v *view) look(d time.Duration) {
	for until := time.Now().Add(d); ; {
		var shown []coordinationv1.Lease
		for _, name := range slices.Sorted(maps.Keys(v.leases)) {
			shown = append(shown, *v.leases[name])
		}
		due := v.follower.look(shown, time.Now())
		if due.IsZero() || due.After(until) {
			time.Sleep(time.Until(until))
			return
		}
		time.Sleep(time.Until(due))
	}
}

// want compares the series of a metric, such as "a=1 b=0", with those of the view.
func (v *view) want(metric, want string) {
	v.t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(newGroupMetrics(v.follower))
	if got := told(v.t, r, metric); got != want {
		v.t.Errorf("%s: %s, want %s", metric, got, want)
	}
}

// told is a metric of a group as its series, by their one label but that of the group.
func told(t *testing.T, r prometheus.Gatherer, metric string) string {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range families {
		if f.GetName() != "shardctl_"+metric {
			continue
		}
		for _, m := range f.GetMetric() {
			text := ""
			for _, l := range m.GetLabel() {
				if l.GetName() != "group" {
					text = l.GetValue() + "="
				}
			}
			all = append(all, fmt.Sprintf("%s%.4g", text, m.GetGauge().GetValue()+m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount())))
		}
	}
	return strings.Join(all, " ")
}

var (
	ann      = identity("ann", "boot1", 1)
	annAgain = identity("ann", "boot1", 2) // the next session
	annAnew  = identity("ann", "boot2", 1) // the container was restarted
	bob      = identity("bob", "boot1", 1)
)

func TestUnheldSinceItsSessionLapsedByTheClockHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a", "b")
		v.member(ann)
		v.member(bob)
		v.shard("a", ann)
		v.shard("b", bob)
		v.look(sessionDuration)
		v.want("shard_unheld_seconds", "a=0 b=0")
		v.member(bob) // has a heartbeat, and ann has none
		v.look(5 * time.Second)
		v.want("shard_unheld_seconds", "a=5 b=0")
		v.want("members", "cordoned=0 lapsed=1 leaving=0 live=1")
		v.member(ann) // it comes after all
		v.look(time.Second)
		v.want("shard_unheld_seconds", "a=0 b=0")
		v.want("members", "cordoned=0 lapsed=0 leaving=0 live=2")
		v.want("shard_moves_total", "a=0 b=0")
	})
}

func TestUnheldSinceItWasSeenWithoutAHolder(t *testing.T) {
	for _, tc := range []struct {
		name   string
		unhold func(*view)
	}{
		{"given back", func(v *view) { v.shard("a", "") }},
		{"its session was ended", func(v *view) { v.member(ann, lease.AnnotationEnded, ann) }},
		{"its session's record is gone", func(v *view) { delete(v.leases, "g.member-uid-ann.main") }},
		{"it names a session that never was", func(v *view) { v.shard("a", annAnew) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newView(t, "a")
				v.member(ann)
				v.shard("a", ann)
				v.look(3 * time.Second)
				tc.unhold(v)
				v.look(2 * time.Second)
				v.want("shard_unheld_seconds", "a=2")
				v.member(bob)
				v.look(2 * time.Second)
				v.want("shard_unheld_seconds", "a=4")
				v.shard("a", bob)
				v.look(time.Second)
				v.want("shard_unheld_seconds", "a=0")
				v.want("shard_moves_total", "a=1")
			})
		})
	}
}

func TestMovesAreChangesOfTheProcessThatHoldsTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a")
		v.shard("a", "")
		v.look(time.Second)
		for _, step := range []struct {
			holder string
			moves  int
		}{
			{ann, 0}, // the first
			{ann, 0},
			{annAgain, 0},
			{"", 0},
			{annAgain, 0},
			{annAnew, 1},
			{bob, 2},
			{"", 2},
			{annAnew, 3},
		} {
			if step.holder != "" {
				v.member(step.holder)
			}
			v.shard("a", step.holder)
			v.look(time.Second)
			v.want("shard_moves_total", fmt.Sprintf("a=%d", step.moves))
		}
	})
}

func TestShardsOfTheConfigurationAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a", "missing")
		v.member(ann)
		v.shard("a.0-of-2", ann)
		v.shard("a.1-of-2", "")
		v.shard("other", ann)
		v.look(4 * time.Second)
		v.want("shard_unheld_seconds", "a.0-of-2=0 a.1-of-2=4 missing=4")
		v.want("shard_moves_total", "a.0-of-2=0 a.1-of-2=0")
		v.shard("missing", ann)
		v.look(time.Second)
		v.want("shard_unheld_seconds", "a.0-of-2=0 a.1-of-2=5 missing=0")
	})
}

func TestShardsOfALayoutThatIsNoMoreAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a")
		v.member(ann)
		v.shard("a", ann)
		v.look(time.Second)
		v.shard("a", "")
		v.leases["g.a"].Annotations[lease.AnnotationSealed] = "2"
		v.shard("a.0-of-2", ann)
		v.look(time.Second)
		v.want("shard_unheld_seconds", "a.0-of-2=0")
		if !slices.Equal(v.gone, []string{"a"}) {
			t.Errorf("forgotten: %q, want a", v.gone)
		}
	})
}

func TestImbalanceIsOfReadyMembersOfTheNewestRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t)
		v.look(0)
		v.want("load_imbalance_ratio", "0")
		v.member(ann, lease.AnnotationRevision, "2", lease.AnnotationLoad, `{"a":250,"b":50}`) // 300 + 100
		v.member(bob, lease.AnnotationRevision, "2")
		v.member(identity("old", "boot1", 1), lease.AnnotationRevision, "1", lease.AnnotationLoad, `{"c":100000}`)
		v.member(identity("unready", "boot1", 1), lease.AnnotationRevision, "3", lease.AnnotationReady, "")
		v.shard("a", ann)
		v.shard("b", ann)
		v.shard("c", identity("old", "boot1", 1))
		v.shard("d", bob) // idle: 50
		v.look(0)
		v.want("load_imbalance_ratio", "0.7778") // 400 / 225 - 1
	})
}

func TestNothingIsToldOfAGroupThatWasNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a")
		time.Sleep(time.Minute)
		v.want("shard_unheld_seconds", "")
		v.look(time.Second)
		v.want("shard_unheld_seconds", "a=1")
	})
}

// A heartbeat only makes a session younger: what the others hold is not looked at again.
func TestHeartbeatsAreNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newView(t, "a")
		v.member(ann)
		v.shard("a", ann)
		take := func() bool {
			var shown []coordinationv1.Lease
			for _, l := range v.leases {
				shown = append(shown, *l)
			}
			return v.follower.sightings.take(shown, time.Now())
		}
		for _, tc := range []struct {
			name   string
			change func()
			news   bool
		}{
			{"the first look", func() {}, true},
			{"nothing", func() {}, false},
			{"a heartbeat", func() { v.member(ann) }, false},
			{"a load", func() { v.member(ann, lease.AnnotationLoad, `{"a":100}`) }, true},
			{"a heartbeat with the same load", func() { v.member(ann, lease.AnnotationLoad, `{"a":100}`) }, false},
			{"a shard that changes hands", func() { v.shard("a", bob) }, true},
			{"a member that is new", func() { v.member(bob) }, true},
			{"one that is gone", func() { delete(v.leases, "g.a") }, true},
			{"a heartbeat that comes too late", func() { time.Sleep(2 * sessionDuration); v.member(bob) }, true},
			{"the next", func() { v.member(bob) }, false},
		} {
			tc.change()
			if got := take(); got != tc.news {
				t.Errorf("%s is news: %t, want %t", tc.name, got, tc.news)
			}
		}
	})
}

// exposed is a replica whose metrics are in a registry of their own.
func (c *cluster) exposed(name string) (*member, *prometheus.Registry) {
	c.t.Helper()
	r, m := prometheus.NewRegistry(), c.prepare(name)
	m.opts.Registerer = r
	if err := m.metrics.register(r); err != nil {
		c.t.Fatal(err)
	}
	if err := m.expose(r); err != nil {
		c.t.Fatal(err)
	}
	for _, gvr := range []struct {
		resource string
		buckets  int
	}{{"widgets", 1}, {"gadgets", 2}} {
		err := m.Add(Controller{Resource: widgets.GroupVersion().WithResource(gvr.resource), Buckets: gvr.buckets, Reconcile: func(context.Context, Key) (Result, error) {
			return Result{}, nil
		}})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	m.run()
	return m, r
}

func TestMetricsOfAGroupThatLosesAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		var cut atomic.Bool
		c.fault = func(ctx context.Context, replica string) error {
			if replica != "b" || !cut.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		a, seenByA := c.exposed("a")
		c.eventually(firstStart, "it holds all", func() bool { return len(a.holds()) == 3 })
		time.Sleep(time.Second)
		const all, none = "gadgets.example.com.0-of-2=%[1]s gadgets.example.com.1-of-2=%[1]s widgets.example.com=%[1]s", "0"
		want := func(r prometheus.Gatherer, metric, want string) {
			t.Helper()
			if got := told(t, r, metric); got != want {
				t.Errorf("%s: %s, want %s", metric, got, want)
			}
		}
		want(seenByA, "shard_unheld_seconds", fmt.Sprintf(all, none))
		want(seenByA, "shard_moves_total", fmt.Sprintf(all, none))
		b, seenByB := c.exposed("b")
		c.eventually(firstStart, "they share", func() bool { return len(b.holds()) == 1 })
		time.Sleep(5 * time.Second)
		want(seenByA, "members", "cordoned=0 lapsed=0 leaving=0 live=2")
		want(seenByB, "members", "cordoned=0 lapsed=0 leaving=0 live=2")
		want(seenByA, "load_imbalance_ratio", "0.3333") // two and one
		if left := a.sessionValidity(); left < 2 || left > 3.5 {
			t.Errorf("its session is valid for %v s, want 2.5 to 3.5", left)
		}
		want(seenByA, "renewal_failures_total", "conflict=0 not found=0 rejected=0 throttled=0 unknown=0")

		cut.Store(true)
		c.eventually(10*time.Second, "the other has taken over", func() bool { return len(a.holds()) == 3 })
		time.Sleep(200 * time.Millisecond)
		want(seenByA, "sessions_ended_total", "dead=0 expired=1 predecessor=0")
		want(seenByA, "shard_unheld_seconds", fmt.Sprintf(all, none))
		if moves := told(t, seenByA, "shard_moves_total"); strings.Count(moves, "=2") != 1 || strings.Count(moves, "=0") != 2 {
			t.Errorf("moves: %s, want 2 of one shard, to and fro", moves)
		}
		time.Sleep(10 * time.Second)
		want(seenByB, "session_validity_seconds", none)
		if failures := told(t, seenByB, "renewal_failures_total"); strings.Contains(failures, "unknown=0") {
			t.Errorf("failed renewals of the one that is cut off: %s", failures)
		}
		cut.Store(false)
		c.eventually(firstStart, "they share again", func() bool { return len(b.holds()) == 1 })
		time.Sleep(200 * time.Millisecond)
		want(seenByB, "shard_unheld_seconds", fmt.Sprintf(all, none))
		c.stop(a, b)
		want(seenByA, "shard_unheld_seconds", "") // it does not look any more
		want(seenByA, "session_validity_seconds", none)
	})
}

func TestMetricsAreThoseOfThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, object(widgets, "w"), object(gadgets, "g"))
		a, r := c.exposed("a")
		closed := &Gate{Check: func(context.Context) error { return errDown }}
		if err := a.AddRole(Role{Name: "gated", Gate: closed, Run: func(context.Context) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		if err := a.AddSchedule(Schedule{Name: "often", Cron: "@every 1s", Run: func(context.Context, Firing) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		c.eventually(firstStart, "it holds all", func() bool { return len(a.holds()) == 4 })
		b, _ := c.exposed("b")
		c.eventually(firstStart, "they share", func() bool { return len(b.holds()) > 0 })
		c.stop(b)
		c.eventually(firstStart, "it was given all", func() bool { return len(a.holds()) == 4 })
		time.Sleep(time.Second)
		metricstest.Compare(t, r, metricstest.Group, "shardctl_")
		metricstest.Lint(t, r)
		if n := told(t, r, "renewal_duration_seconds"); n == "0" || n == "" {
			t.Error("no heartbeat was measured")
		}
		c.stop(a)
	})
}

// lots is a group of 20 members with 1000 shards.
func lots(b *testing.B) (*view, []coordinationv1.Lease) {
	b.Helper()
	v := newView(nil, "a")
	var members []string
	for i := range 20 {
		members = append(members, identity(fmt.Sprintf("p-%02d", i), "boot1", 1))
		v.member(members[i], lease.AnnotationServes, "a", lease.AnnotationLoad, `{"a.1-of-1000":100,"a.2-of-1000":50}`)
	}
	for i := range 1000 {
		v.shard(fmt.Sprintf("s%d", i), members[i%len(members)])
	}
	shown := make([]coordinationv1.Lease, 0, len(v.leases))
	for _, name := range slices.Sorted(maps.Keys(v.leases)) {
		shown = append(shown, *v.leases[name])
	}
	b.ReportAllocs()
	v.follower.look(shown, time.Now())
	return v, shown
}

func BenchmarkFollowHeartbeat(b *testing.B) {
	v, shown := lots(b)
	i := slices.IndexFunc(shown, func(l coordinationv1.Lease) bool { return l.Labels[lease.LabelKind] == lease.KindMember })
	annotations := maps.Clone(shown[i].Annotations)
	shown[i].Annotations = annotations
	for n := 0; b.Loop(); n++ {
		shown[i].ResourceVersion = strconv.Itoa(math.MaxInt32 + n)
		annotations = maps.Clone(annotations)
		annotations[lease.AnnotationAttempt] = strconv.Itoa(n)
		shown[i].Annotations = annotations
		v.follower.look(shown, time.Now())
	}
}

func BenchmarkFollowHandOver(b *testing.B) {
	v, shown := lots(b)
	i := slices.IndexFunc(shown, func(l coordinationv1.Lease) bool { return l.Labels[lease.LabelKind] == lease.KindShard })
	for n := 0; b.Loop(); n++ {
		shown[i].ResourceVersion = strconv.Itoa(math.MaxInt32 + n)
		shown[i].Spec.LeaseTransitions = ptr.To(int32(n)) //nolint:gosec // a small number
		v.follower.look(shown, time.Now())
	}
}
