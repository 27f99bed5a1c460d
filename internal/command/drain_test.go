// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

func (a *api) drain(t *testing.T, pod string, p patience) (string, error) {
	t.Helper()
	return a.run(t, func(ctx context.Context, out *strings.Builder) error {
		return a.group.drain(ctx, out, a.now(t), pod, p)
	})
}

func TestDrainWaitsUntilTheMemberHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(member("x"), member("y"), shardOf("a", "x"), shardOf("b", "x"), shardOf("c", "y"))
		go func() { // the replicas
			for _, next := range []*coordinationv1.Lease{shardOf("a", "y"), shardOf("b", "y")} {
				time.Sleep(5 * time.Second)
				api.put(t, next)
			}
		}()
		out, err := api.drain(t, "x", patience{timeout: time.Minute})
		if err != nil {
			t.Error(err)
		}
		want := `member x is cordoned
2 of 2 shards left: a, b
1 of 2 shards left: b
member x holds nothing
`
		if out != want {
			t.Errorf("it said\n%swant\n%s", out, want)
		}
	})
}

func TestDrainGivesUpAndSaysWhatItHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(member("x"), member("y"), shardOf("a", "x"))
		_, err := api.drain(t, "x", patience{timeout: time.Minute})
		says(t, err, "member x is not drained yet: waited for 1m0s: 1 of 1 shards left: a; it stays cordoned: `shardctl uncordon x` ends that")
	})
}

// Each name is told once, however it ends.
func TestDrainThatCannotEndNamesTheShardsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(member("x"), shardOf("a.0-of-2", "x"), shardOf("a.1-of-2", "x"))
		_, err := api.drain(t, "x", patience{timeout: time.Minute})
		says(t, err, "waited for 1m0s: 2 of 2 shards left: a.0-of-2, a.1-of-2; all of them stay, since no other member")
		if n := strings.Count(err.Error(), "a.0-of-2"); n != 1 {
			t.Errorf("a.0-of-2 is named %d times: %v", n, err)
		}
	})
}

func TestDrainWithoutWaiting(t *testing.T) {
	api := serve(member("x"), shardOf("a", "x"))
	for _, want := range []string{"member x is cordoned\n", "member x was cordoned already\n"} {
		out, err := api.drain(t, "x", notWaiting)
		if cordoned, _ := api.annotation(t, member("x"), lease.AnnotationCordoned); err != nil || out != want || cordoned != "true" {
			t.Errorf("it said %q, error %v; want %q", out, err, want)
		}
	}
}

func TestDrainOfAMemberThatHasEnded(t *testing.T) {
	api := serve(member("x", lease.AnnotationEnded, identity("x")), shardOf("a", "x"))
	out, err := api.drain(t, "x", patience{timeout: time.Minute})
	if _, cordoned := api.annotation(t, member("x"), lease.AnnotationCordoned); err != nil || !cordoned || out != "member x is cordoned\nmember x has ended: it holds nothing\n" {
		t.Errorf("it said %q, error %v, and cordoned it: %t", out, err, cordoned)
	}
}

func TestWhatADrainWaitsFor(t *testing.T) {
	type leases = []*coordinationv1.Lease
	cordoned := member("x", lease.AnnotationCordoned, "true")
	again := member("x", lease.AnnotationCordoned, "true")
	*again.Spec.HolderIdentity = strings.Replace(identity("x"), ".boot.1", ".boot.2", 1)
	lapsed := member("x", lease.AnnotationCordoned, "true")
	*lapsed.Spec.LeaseDurationSeconds = 0
	const nobody = ", since no other member that is live, ready and not cordoned serves them"
	for _, tc := range []struct {
		name          string
		leases        leases
		missing, done string
	}{
		{"others can take all", leases{cordoned, member("y"), shardOf("a", "x"), shardOf("b.1-of-2", "x")}, "2 of 2 shards left: a, b.1-of-2", ""},
		{"it holds nothing", leases{cordoned, member("y"), shardOf("a", "y")}, "", "member x holds nothing"},
		{"it has left", leases{member("y"), shardOf("a", "y")}, "", "member x has left: it holds nothing"},
		{"its Lease was deleted", leases{member("y"), shardOf("a", "x")}, "1 of 1 shards left: a; the member's Lease is gone: others are to take them over", ""},
		{"it has ended", leases{member("x", lease.AnnotationEnded, identity("x")), shardOf("a", "x")}, "", "member x has ended: it holds nothing"},
		{"it has lapsed", leases{lapsed, member("y"), shardOf("a", "x")}, "1 of 1 shards left: a; the member has lapsed: others are to take them over", ""},
		{"a new session, before it claims its shards anew", leases{again, member("y"), shardOf("a", "x")}, "1 of 1 shards left: a", ""},
		{"there is nobody else", leases{cordoned, shardOf("a", "x")}, "1 of 1 shards left: a; all of them stay" + nobody, ""},
		{
			"others are able to hold a part",
			leases{cordoned, member("y", lease.AnnotationServes, "b"), shardOf("a.0-of-2", "x"), shardOf("b", "x")},
			"2 of 2 shards left: b; and these, which stay" + nobody + ": a.0-of-2", "",
		},
		{
			"others are not ready",
			leases{cordoned, member("y", lease.AnnotationReady, "false"), shardOf("a", "x")},
			"1 of 1 shards left: a; all of them stay" + nobody, "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := snapshotOf(cordoned).findMember("x")
			if err != nil {
				t.Fatal(err)
			}
			missing, done, err := drained(m)(snapshotOf(tc.leases...))
			if missing != tc.missing || done != tc.done || err != nil {
				t.Errorf("missing %q, done %q, error %v\nwant %q, %q", missing, done, err, tc.missing, tc.done)
			}
		})
	}
}

func TestDrainEndsWhenTheMemberIsUncordoned(t *testing.T) {
	s := snapshotOf(member("x"), shardOf("a", "x"))
	_, _, err := drained(s.Members[0])(s)
	says(t, err, "not cordoned any more")
}

func TestUncordon(t *testing.T) {
	api := serve(member("x", lease.AnnotationCordoned, "true"))
	for _, want := range []string{"member x is not cordoned any more\n", "member x is not cordoned\n"} {
		out, err := api.run(t, func(ctx context.Context, out *strings.Builder) error {
			return api.group.uncordon(ctx, out, api.now(t), "x")
		})
		if _, cordoned := api.annotation(t, member("x"), lease.AnnotationCordoned); err != nil || out != want || cordoned {
			t.Errorf("it said %q, error %v; want %q", out, err, want)
		}
	}
}
