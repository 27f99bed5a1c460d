// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

func TestWaitForReturnsTheStatusThatFits(t *testing.T) {
	f := scripted(t, "")
	shard := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: lease.ShardLeaseName("group", "widgets"), Namespace: "space",
		Labels: map[string]string{lease.LabelGroup: "group", lease.LabelKind: lease.KindShard},
	}}
	calls := 0
	s, err := f.WaitFor(t.Context(), 10*time.Second, "a shard", func(s status.Status) error {
		if calls++; calls == 1 {
			if _, err := f.client.CoordinationV1().Leases("space").Create(t.Context(), shard, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		}
		if len(s.Shards) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
	if err != nil || len(s.Shards) != 1 || s.Shards[0].Name != "widgets" || calls != 2 {
		t.Errorf("WaitFor returned %+v, %v after %d looks; want the shard, after 2", s, err, calls)
	}
}

func TestWaitForSaysWhatIsMissing(t *testing.T) {
	f := scripted(t, "")
	_, err := f.WaitFor(t.Context(), 50*time.Millisecond, "one shard", Held(1))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("WaitFor returned %v, want that the time is over", err)
	}
	for _, want := range []string{"waited at most 50ms for one shard: there are 0 shards, not 1", "Group group in namespace space", f.LogDir()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

func TestWaitForEndsWithAReplicaThatEnded(t *testing.T) {
	f := scripted(t, `echo out of luck; exit 4`)
	r := launch(t, f, "a")
	awaitEnd(t, r)
	_, err := f.WaitFor(t.Context(), time.Hour, "one shard", Held(1))
	if err == nil || !strings.Contains(err.Error(), "replica a has ended by itself: exit status 4") || !strings.Contains(err.Error(), "out of luck") {
		t.Errorf("WaitFor returned %v, want that the replica has ended, and its log", err)
	}
	if _, err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.UnexpectedEnd(); err != nil {
		t.Errorf("an end that was waited for is unexpected: %v", err)
	}
}

const (
	identityA = "a_uid-a_main.boot.1"
	identityB = "b_uid-b_main.boot.1"
)

func TestConditions(t *testing.T) {
	s := status.Status{
		Members: []status.Member{
			{Identity: identityA, Pod: "a", State: "live", Ready: true, Shards: 2},
			{Identity: identityB, Pod: "b", State: "live", Ready: true, Shards: 1},
			{Pod: "new", State: "live"},
			{Pod: "leaver", State: "leaving", Ready: true},
			{Pod: "dead", State: "ended", Ready: true},
		},
		Shards: []status.Shard{
			{Name: "gadgets", State: status.Held, Holder: identityA},
			{Name: "gizmos", State: status.Held, Holder: identityB, Problem: "b: it fails"},
			{Name: "widgets", State: status.Held, Holder: identityA},
		},
	}
	uneven := s
	uneven.Members = []status.Member{
		{Pod: "a", State: "live", Ready: true, Shards: 3}, {Pod: "b", State: "live", Ready: true, Shards: 1},
	}
	orphaned := s
	orphaned.Shards = []status.Shard{{Name: "widgets", State: status.Unheld, Holder: identityA}}

	for _, test := range []struct {
		name string
		s    status.Status
		is   Condition
		want string // what is missing; empty if nothing
	}{
		{"held", s, Held(3), ""},
		{"held, but too few", s, Held(4), "there are 3 shards, not 4"},
		{"not held", orphaned, Held(1), "shard widgets is unheld"},
		{"spread", s, Spread(3, 2), ""},
		{"spread over too few", s, Spread(3, 3), "there are 2 live and ready members, not 3"},
		{"not evenly spread", uneven, Spread(3, 2), "the shards are not spread evenly: map[a:3 b:1]"},
		{"held by", s, HeldBy("gizmos", "b"), ""},
		{"held by another", s, HeldBy("gizmos", "a"), `shard gizmos is held by "b", not by "a"`},
		{"held by nobody", orphaned, HeldBy("widgets", "a"), `shard widgets is held by "", not by "a"`},
		{"leads", s, Leads("a"), ""},
		{"leads nothing", s, Leads("new"), "new holds no shard"},
		{"lost everything", orphaned, Leads("a"), "a holds no shard"},
		{"gone", s, Gone("dead"), ""},
		{"never there", s, Gone("unknown"), ""},
		{"still there", s, Gone("a"), "member a is still live"},
		{"about to be gone", s, Gone("leaver"), "member leaver is still leaving"},
		{"healthy", uneven, Healthy, "shard gizmos has a problem: b: it fails"},
		{"all", s, All(Held(3), Leads("a")), ""},
		{"not all", s, All(Held(3), Leads("new"), Held(4)), "new holds no shard"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.is(test.s); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("missing: %q, want %q", got, test.want)
			}
		})
	}
	if got, want := SpreadOf(s), map[string]int{"a": 2, "b": 1}; !maps.Equal(got, want) {
		t.Errorf("SpreadOf returned %v, want %v", got, want)
	}
	if got, want := ShardsOf(s, "a"), []string{"gadgets", "widgets"}; !slices.Equal(got, want) {
		t.Errorf("ShardsOf returned %v, want %v", got, want)
	}
}
