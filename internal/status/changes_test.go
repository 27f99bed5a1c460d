// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestChanges(t *testing.T) {
	type leases = []coordinationv1.Lease
	again := strings.Replace(ann, "main.abc.1", "main.abc.2", 1)
	both := leases{ready(ann, "a"), ready(bob, "a")}
	with := func(more ...coordinationv1.Lease) leases { return append(both[:2:2], more...) }
	held := func(holder string, epoch int32, annotations ...string) coordinationv1.Lease {
		return annotated(shardLease("a", holder, holder, epoch), annotations...)
	}
	for _, tc := range []struct {
		name        string
		before, now leases
		want        string // lines, joined by " | "
	}{
		{"nothing", with(held(ann, 3)), with(held(ann, 3)), ""},
		{
			"a heartbeat, loads, the text of a problem",
			leases{ready(ann, "a", lease.AnnotationAttempt, "7", lease.AnnotationProblems, `{"a":"1 failing"}`), held(ann, 3)},
			leases{annotated(memberLease(ann, 2*time.Second, map[string]string{lease.AnnotationReady: "true", lease.AnnotationServes: "a"}),
				lease.AnnotationAttempt, "8", lease.AnnotationProblems, `{"a":"2 failing"}`, lease.AnnotationLoad, `{"a":10}`), held(ann, 3)},
			"",
		},
		{"a hand-over", with(held(ann, 4)), with(held(bob, 5)), "shard a: held by ann-1 -> bob-2 (epoch 5)"},
		{"a shard that is new", with(), with(held(ann, 1)), "shard a: held by ann-1 (epoch 1)"},
		{"a shard that is given back", with(held(ann, 1)), with(held("", 1)), "shard a: unheld, was held by ann-1"},
		{"a shard that is taken", with(held("", 1)), with(held(ann, 2)), "shard a: held by ann-1 (epoch 2)"},
		{"a shard that is gone", with(held(ann, 1)), with(), "shard a: gone"},
		{
			"a pin to another", with(held(ann, 1)), with(held(ann, 1, lease.AnnotationPinned, "bob-2")),
			"shard a: held by ann-1 (epoch 1), draining, pinned to bob-2",
		},
		{
			"a pin that is obeyed", with(held(ann, 1, lease.AnnotationPinned, "bob-2")), with(held(bob, 2, lease.AnnotationPinned, "bob-2")),
			"shard a: held by ann-1 -> bob-2 (epoch 2), pinned to bob-2",
		},
		{"a pin of what nobody holds", with(held("", 1)), with(held("", 1, lease.AnnotationPinned, "bob-2")), "shard a: unheld, pinned to bob-2"},
		{"a pin that is removed", with(held(bob, 2, lease.AnnotationPinned, "bob-2")), with(held(bob, 2)), "shard a: held by bob-2 (epoch 2)"},
		{
			"a cordon", with(held(bob, 1)),
			leases{both[0], ready(bob, "a", lease.AnnotationCordoned, "true"), held(bob, 1)},
			"member bob-2: cordoned, ready, revision 0 | shard a: held by bob-2 (epoch 1), draining",
		},
		{
			"readiness",
			leases{ready(ann, "a", lease.AnnotationReady, "false")},
			leases{ready(ann, "a")},
			"member ann-1: live, ready, revision 0",
		},
		{"a member that is new", both[:1], both, "member bob-2: joined: live, ready, revision 0"},
		{"a member that left", both, both[:1], "member bob-2: left"},
		{"a new session", both[:1], leases{ready(again, "a")}, "member ann-1: has a new session: live, ready, revision 0"},
		{
			"a session that lapses",
			leases{ready(ann, "a"), held(ann, 1)},
			leases{memberLease(ann, time.Minute, map[string]string{lease.AnnotationReady: "true"}), held(ann, 1)},
			"member ann-1: lapsed, revision 0 | shard a: unheld, was held by ann-1",
		},
		{
			"a problem", with(held(ann, 1)),
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"1 failing"}`), both[1], held(ann, 1)},
			"shard a: problem: ann-1: 1 failing",
		},
		{
			"a problem that is gone",
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"1 failing"}`), both[1], held(ann, 1)},
			with(held(ann, 1)),
			"shard a: no problem any more",
		},
		{
			"a problem with shards that others hold", with(held(bob, 1)),
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"cache"}`), both[1], held(bob, 1)},
			"member ann-1: problem: a: cache",
		},
		{
			"one that is gone",
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"cache"}`), both[1], held(bob, 1)},
			with(held(bob, 1)),
			"member ann-1: no problem any more",
		},
		{
			"a cache of a family in buckets",
			with(shardLease("a.0-of-2", bob, bob, 1), shardLease("a.1-of-2", ann, ann, 1)),
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"cache"}`), both[1], shardLease("a.0-of-2", bob, bob, 1), shardLease("a.1-of-2", ann, ann, 1)},
			"shard a.1-of-2: problem: ann-1: cache",
		},
		{
			"a type that is missing", both[:1],
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"Missing"}`)},
			"shard a: no Lease yet | shard a: problem: ann-1: Missing",
		},
		{
			"a type that was missing, and comes in buckets",
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"Missing"}`)},
			leases{both[0], shardLease("a.0-of-2", "", "", 0), shardLease("a.1-of-2", "", "", 0)},
			"shard a.0-of-2: unheld | shard a.1-of-2: unheld | shard a: no problem any more",
		},
		{
			"a type that was missing, and comes in one piece",
			leases{ready(ann, "a", lease.AnnotationProblems, `{"a":"Missing"}`)},
			leases{both[0], shardLease("a", "", "", 0)},
			"shard a: unheld | shard a: no problem any more",
		},
		{
			"a layout that is prepared",
			with(layoutRecord(`{"settled":true,"families":{"a":{"buckets":2,"by":"uid","generation":2,"from":[{}]}}}`), held(ann, 1)),
			with(layoutRecord(`{"settled":true,"families":{"a":{"buckets":2,"by":"uid","generation":2,"from":[{}]}}}`), held(ann, 1),
				shardLease("a.0-of-2", "", "", 0), shardLease("a.1-of-2", "", "", 0)),
			"",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(Changes(Of("g", "ns", tc.before, now), Of("g", "ns", tc.now, now)), " | ")
			if got != tc.want {
				t.Errorf("%q\nwant %q", got, tc.want)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	sidecar := ready(strings.Replace(ann, "_main.", "_sidecar.", 1), "b", lease.AnnotationRevision, "7")
	sidecar.Name = "g.member-sidecar"
	got := Describe(Of("g", "ns", []coordinationv1.Lease{
		ready(ann, "a", lease.AnnotationProblems, `{"a":"1 failing","c":"cache"}`), sidecar, ready(bob, "a", lease.AnnotationReady, ""),
		shardLease("a", ann, ann, 3), shardLease("b", "", "", 0), shardLease("c", bob, bob, 1),
	}, now))
	want := []string{
		"member " + ann + ": live, ready, revision 0, 1 shard, problem: c: cache",
		"member " + strings.Replace(ann, "_main.", "_sidecar.", 1) + ": live, ready, revision 7, 0 shards",
		"member bob-2: live, not ready, revision 0, 1 shard",
		"shard a: held by ann-1 (epoch 3), problem: ann-1: 1 failing",
		"shard b: unheld",
		"shard c: held by bob-2 (epoch 1)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
