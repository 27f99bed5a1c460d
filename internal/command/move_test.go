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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestMoveRefusesBeforeItWrites(t *testing.T) {
	type leases = []*coordinationv1.Lease
	lapsed := member("y")
	*lapsed.Spec.LeaseDurationSeconds = 0
	for _, tc := range []struct {
		name   string
		leases leases
		want   string
	}{
		{"to nobody", leases{shardOf("a", "x")}, `there is no member "y"`},
		{"nothing", leases{member("y")}, `there is no shard "a": the group has no shards`},
		{"to one that has ended", leases{member("y", lease.AnnotationEnded, identity("y")), shardOf("a", "x")}, "member y has ended"},
		{"to one that has lapsed", leases{lapsed, shardOf("a", "x")}, "member y has lapsed"},
		{"to one that is leaving", leases{member("y", lease.AnnotationLeaving, "true"), shardOf("a", "x")}, "member y is leaving"},
		{"to one that is cordoned", leases{member("y", lease.AnnotationCordoned, "true"), shardOf("a", "x")}, "`shardctl uncordon y`"},
		{
			"to one that does not serve it",
			leases{member("y", lease.AnnotationServes, "b"), member("x"), shardOf("a", "x")},
			"member y does not serve a: choose one of x",
		},
		{
			"a bucket, to one that does not serve the family",
			leases{member("y", lease.AnnotationServes, "b"), shardOf("a.1-of-2", "x")},
			"member y does not serve a: no member does that is live",
		},
		{"of an earlier layout", leases{member("y"), shardOf("a", "", lease.AnnotationSealed, "2")}, "shard a is of an earlier layout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			api := serve(tc.leases...)
			_, err := api.moveTo(t, "a", "y", notWaiting)
			says(t, err, tc.want)
			for _, action := range api.Actions() {
				if action.GetVerb() != "list" {
					t.Errorf("it has sent a %s", action.GetVerb())
				}
			}
		})
	}
}

// Whoever seals the Lease after the list is noticed, too.
func TestMoveLooksAtTheLeaseItWrites(t *testing.T) {
	api := serve(member("y"), shardOf("a", "x"))
	now := api.now(t)
	api.put(t, shardOf("a", "", lease.AnnotationSealed, "2"))
	_, err := api.run(t, func(ctx context.Context, out *strings.Builder) error {
		return api.group.move(ctx, out, now, "a", "y", notWaiting)
	})
	says(t, err, "shard a is of an earlier layout")
	if _, pinned := api.annotation(t, shardOf("a", ""), lease.AnnotationPinned); pinned {
		t.Error("the shard is pinned")
	}
}

func TestMovePinsAlsoWhatIsThereAlready(t *testing.T) {
	api := serve(member("x"), shardOf("a", "x"))
	out, err := api.moveTo(t, "a", "x", patience{timeout: time.Minute})
	if pin, _ := api.annotation(t, shardOf("a", ""), lease.AnnotationPinned); err != nil || pin != "x" || !strings.Contains(out, "already") {
		t.Errorf("pinned to %q, %v:\n%s", pin, err, out)
	}
}

// A replica may write the Lease between the read and the write: then both are done
// again, but not for ever.
func TestPinIsACompareAndSwap(t *testing.T) {
	conflict := apierrors.NewConflict(coordinationv1.Resource("leases"), "g.a", nil)
	for _, tc := range []struct {
		name      string
		conflicts int
		fails     bool
	}{{"a few conflicts", 3, false}, {"conflicts without end", 1000, true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := serve(member("y"), member("x"), shardOf("a", "x"))
				updates := 0
				api.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
					updates++
					return updates <= tc.conflicts, nil, conflict
				})
				_, err := api.moveTo(t, "a", "y", notWaiting)
				pin, _ := api.annotation(t, shardOf("a", ""), lease.AnnotationPinned)
				if (err != nil) != tc.fails || (pin == "y") == tc.fails || updates > 10 {
					t.Errorf("error %v, pinned to %q, after %d updates", err, pin, updates)
				}
			})
		})
	}
}

func TestMoveWaitsUntilTheMemberHoldsTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(member("x"), member("y", lease.AnnotationReady, "false"), shardOf("a", "x"))
		go func() { // the replicas
			for _, next := range []*coordinationv1.Lease{
				member("y"), shardOf("a", "", lease.AnnotationPinned, "y"), shardOf("a", "y", lease.AnnotationPinned, "y"),
			} {
				time.Sleep(5 * time.Second)
				api.put(t, next)
			}
		}()
		out, err := api.moveTo(t, "a", "y", patience{timeout: time.Minute})
		if err != nil {
			t.Error(err)
		}
		want := `shard a is pinned to y
waiting for y: it is not ready
waiting for y: x drains the shard
waiting for y: nobody holds the shard, and it is to take it
shard a is held by y (epoch 5)
`
		if out != want {
			t.Errorf("it said\n%swant\n%s", out, want)
		}
	})
}

func TestMoveGivesUpAndSaysWhatItHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := serve(member("x"), member("y"), shardOf("a", "x"))
		_, err := api.moveTo(t, "a", "y", patience{timeout: time.Minute})
		says(t, err, "shard a is not held by y yet: waited for 1m0s: waiting for y: x drains the shard; the pin stays: `shardctl unpin a` removes it")
		if pin, _ := api.annotation(t, shardOf("a", ""), lease.AnnotationPinned); pin != "y" {
			t.Errorf("pinned to %q", pin)
		}
	})
}

func TestMoveEndsWhenTheWishIsRevoked(t *testing.T) {
	for _, tc := range []struct {
		name string
		now  []*coordinationv1.Lease
		want string
	}{
		{"unpinned", []*coordinationv1.Lease{member("y"), shardOf("a", "x")}, "unpinned it meanwhile"},
		{"pinned elsewhere", []*coordinationv1.Lease{member("y"), shardOf("a", "x", lease.AnnotationPinned, "z")}, "pinned it to z meanwhile"},
		{"deleted", []*coordinationv1.Lease{member("y")}, "Lease is gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := moved("a", "y")(snapshotOf(tc.now...))
			says(t, err, tc.want)
		})
	}
}

func TestWhatAMoveWaitsFor(t *testing.T) {
	pinned := shardOf("a", "x", lease.AnnotationPinned, "y")
	foreign := shardOf("a", "", lease.AnnotationPinned, "y", lease.AnnotationSession, "")
	*foreign.Spec.HolderIdentity = "elector"
	foreign.Spec.LeaseDurationSeconds, foreign.Spec.RenewTime = member("y").Spec.LeaseDurationSeconds, member("y").Spec.RenewTime
	for _, tc := range []struct {
		y, shard *coordinationv1.Lease
		want     string
	}{
		{member("y"), pinned, "x drains the shard"},
		{member("y"), foreign, "elector, which is no member of the group, holds the shard"},
		{member("y", lease.AnnotationReady, ""), pinned, "it is not ready"},
		{member("y", lease.AnnotationLeaving, "true"), pinned, "it is leaving"},
		{member("y", lease.AnnotationCordoned, "true"), pinned, "it is cordoned"},
		{member("y", lease.AnnotationServes, "b"), pinned, "it does not serve the shard any more"},
		{member("y", lease.AnnotationEnded, identity("y")), pinned, "it has no live member"},
	} {
		missing, done, err := moved("a", "y")(snapshotOf(member("x"), tc.y, tc.shard))
		if want := "waiting for y: " + tc.want; missing != want || done != "" || err != nil {
			t.Errorf("missing %q, done %q, error %v; want %q", missing, done, err, want)
		}
	}
}

func TestUnpin(t *testing.T) {
	api := serve(shardOf("a", "", lease.AnnotationPinned, "x"))
	for _, want := range []string{"shard a is not pinned to x any more\n", "shard a is not pinned\n"} {
		out, err := api.run(t, func(ctx context.Context, out *strings.Builder) error {
			return api.group.unpin(ctx, out, api.now(t), "a")
		})
		if err != nil || out != want {
			t.Errorf("it said %q, error %v; want %q", out, err, want)
		}
		if pin, pinned := api.annotation(t, shardOf("a", ""), lease.AnnotationPinned); pinned {
			t.Errorf("it is pinned to %q", pin)
		}
	}
}
