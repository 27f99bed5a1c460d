// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"math"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// reporting is a member that serves everything, and reports problems.
func reporting(identity, problems string) coordinationv1.Lease {
	return ready(identity, "a,b,c,d", lease.AnnotationProblems, problems)
}

// problems are those that a status tells, of members and then of shards.
func problems(s Status) string {
	var all []string
	for _, m := range s.Members {
		if m.Problem != "" {
			all = append(all, m.Pod+" = "+m.Problem)
		}
	}
	for _, sh := range s.Shards {
		if sh.Problem != "" {
			all = append(all, sh.Name+" = "+sh.Problem)
		}
	}
	return strings.Join(all, " | ")
}

func TestWhereAProblemIsTold(t *testing.T) {
	type leases = []coordinationv1.Lease
	const cache, fails = `{"a":"cache"}`, `{"a.0-of-2":"1 failing"}`
	first, second := shardLease("a.0-of-2", ann, ann, 1), shardLease("a.1-of-2", ann, ann, 1)
	bobs, nobodys := shardLease("a.1-of-2", bob, bob, 1), shardLease("a.1-of-2", "", "", 1)
	for _, tc := range []struct {
		name   string
		leases leases
		want   string
	}{
		{"of a bucket, by its holder", leases{reporting(ann, fails), first, second}, "a.0-of-2 = ann-1: 1 failing"},
		{"of a bucket, by somebody else", leases{reporting(bob, fails), ready(ann, "a"), first, bobs}, ""},
		{"of a bucket that is no more", leases{reporting(ann, `{"a.2-of-4":"1 failing"}`), first, second}, ""},
		{"of a family, by the holder of all", leases{reporting(ann, cache), first, second}, "a.0-of-2 = ann-1: cache | a.1-of-2 = ann-1: cache"},
		{"of a family, by the holder of one", leases{reporting(ann, cache), ready(bob, "a"), first, bobs}, "a.0-of-2 = ann-1: cache"},
		{"of a family, by who holds none, and one is unheld", leases{reporting(bob, cache), ready(ann, "a"), first, nobodys}, "a.1-of-2 = bob-2: cache"},
		{"of a family, by who holds none of those that are held", leases{reporting(bob, cache), ready(ann, "a"), first, second}, "bob-2 = a: cache"},
		{
			"of a family, where a bucket has its own",
			leases{reporting(ann, `{"a":"cache","a.0-of-2":"1 failing"}`), first, second},
			"a.0-of-2 = ann-1: 1 failing | a.1-of-2 = ann-1: cache",
		},
		{"of one in one piece, by its holder", leases{reporting(ann, cache), shardLease("a", ann, ann, 1)}, "a = ann-1: cache"},
		{"of one in one piece, by somebody else", leases{reporting(bob, cache), ready(ann, "a"), shardLease("a", ann, ann, 1)}, "bob-2 = a: cache"},
		{"of one without any shard, by all", leases{reporting(bob, cache), reporting(ann, cache)}, "a = ann-1: cache"},
		{
			"of many, by who holds none",
			leases{
				reporting(bob, `{"a":"cache","b":"cache","c":"cache"}`), ready(ann, "a,b,c"),
				shardLease("a", ann, ann, 1), shardLease("b", ann, ann, 1), shardLease("c", ann, ann, 1),
			},
			"bob-2 = a: cache, and 2 more",
		},
		{
			"of a replica itself",
			leases{reporting(bob, `{"-":"bad file","a":"cache"}`), ready(ann, "a"), shardLease("a", ann, ann, 1)},
			"bob-2 = bad file, and 1 more",
		},
		{
			"of one that nobody serves",
			leases{ready(ann, "b"), shardLease("a", "", "", 1)},
			"a = no replica serves it: its type or role is in the configuration of none that is live",
		},
		{
			"of one that only an ended session served",
			leases{ready(ann, "b"), annotated(ready(bob, "a"), lease.AnnotationEnded, bob), shardLease("a", "", "", 1)},
			"a = no replica serves it: its type or role is in the configuration of none that is live",
		},
		{"of one that somebody serves who is to take it", leases{ready(ann, "a"), shardLease("a", "", "", 1)}, ""},
		{
			"by a session that is over",
			leases{annotated(reporting(bob, cache), lease.AnnotationEnded, bob), shardLease("a", "", "", 1)},
			"",
		},
		{
			"of one of which only an earlier layout is left",
			leases{reporting(ann, cache), annotated(shardLease("a.0-of-2", "", "", 1), lease.AnnotationSealed, "2")},
			"a = ann-1: cache",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := problems(Of("g", "ns", tc.leases, now)); got != tc.want {
				t.Errorf("%s\nwant %s", got, tc.want)
			}
		})
	}
}

// A shard waits for somebody while the group has a record of a member that serves it, be
// that lost or not.
func TestUnserved(t *testing.T) {
	type leases = []coordinationv1.Lease
	free, lapsed := shardLease("a.0-of-2", "", "", 1), ready(bob, "a")
	lapsed.Spec.RenewTime.Time = now.Add(-time.Hour)
	full := shardLease("a", "", "", math.MaxInt32)
	for _, tc := range []struct {
		name   string
		leases leases
		want   bool
	}{
		{"nobody serves it", leases{ready(ann, "b"), free}, true},
		{"somebody does", leases{ready(ann, "a,b"), free}, false},
		{"a session that has lapsed did", leases{ready(ann, "b"), lapsed, free}, false},
		{"a session that was ended did", leases{ready(ann, "b"), annotated(ready(bob, "a"), lease.AnnotationEnded, bob), free}, false},
		{"the session that it names is gone without a record", leases{ready(ann, "b"), shardLease("a", gone, gone, 1)}, true},
		{"nobody serves it, but it is held", leases{ready(ann, "b"), shardLease("a", ann, ann, 1)}, false},
		{"nobody serves it, and there is more to say", leases{ready(ann, "b"), full}, false},
		{"there is no member", leases{free}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Of("g", "ns", tc.leases, now).Shards[0].Unserved; got != tc.want {
				t.Errorf("it is unserved: %t, want %t", got, tc.want)
			}
		})
	}
}

// Nobody could be given such a shard: it only tells why there is none.
func TestAShardWithoutALeaseStandsForAFamilyThatHasNone(t *testing.T) {
	shards := Of("g", "ns", []coordinationv1.Lease{reporting(ann, `{"a":"cache","b":"Missing"}`), shardLease("a.0-of-2", ann, ann, 1)}, now).Shards
	if len(shards) != 2 || shards[0].Lease != "g.a.0-of-2" || shards[1].Name != "b" || shards[1].Lease != "" || shards[1].State != Unheld {
		t.Errorf("the shards are %+v, want a.0-of-2, and b without a Lease", shards)
	}
}
