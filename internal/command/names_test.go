// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestNamesOfShards(t *testing.T) {
	s := snapshotOf(
		shardOf("widgets.example.com", ""), shardOf("gadgets.example.com.0-of-2", ""), shardOf("gadgets.example.com.1-of-2", ""),
		shardOf("night", ""), shardOf("nightly-report", ""), shardOf("gadgets.example.com", "", lease.AnnotationSealed, "1"),
	)
	for _, tc := range []struct{ asked, want, err string }{
		{"widgets.example.com", "widgets.example.com", ""},
		{"wid", "widgets.example.com", ""},
		{"night", "night", ""}, // although another begins with it
		{"nightly", "nightly-report", ""},
		{"report", "nightly-report", ""},
		{"1-of", "gadgets.example.com.1-of-2", ""},
		{"gadgets.example.com", "gadgets.example.com", ""}, // of an earlier layout, but in full
		{"gadgets", "", `shard "gadgets" is ambiguous: use one of gadgets.example.com.0-of-2, gadgets.example.com.1-of-2`},
		{"example", "", `ambiguous: use one of gadgets.example.com.0-of-2, gadgets.example.com.1-of-2, widgets.example.com`},
		{"gizmos", "", `there is no shard "gizmos": use one of gadgets.example.com.0-of-2, gadgets.example.com.1-of-2, night, nightly-report, widgets.example.com`},
		{"", "", `there is no shard ""`},
	} {
		got, err := s.findShard(tc.asked)
		if got != tc.want || (err != nil) != (tc.err != "") {
			t.Errorf("%q is %q, %v; want %q", tc.asked, got, err, tc.want)
		}
		if tc.err != "" {
			says(t, err, tc.err)
		}
	}
}

// A type that is not served has no shard to move or to unpin yet, whatever number
// of buckets it is to have: it is never what is proposed.
func TestNameOfATypeThatIsMissing(t *testing.T) {
	s := snapshotOf(
		shardOf("night", ""), shardOf("nightly.example.com.0-of-2", ""),
		member("x", lease.AnnotationProblems, `{"nigh":"not served","nights.example.com":"not served","day":"not served"}`),
	)
	for _, tc := range []struct{ asked, want, err string }{
		{"nights.example.com", "", "shard nights.example.com has no Lease yet: x: not served: it gets one, or one for each bucket, once that is solved"},
		{"nights", "", "shard nights.example.com has no Lease yet"},
		{"nigh", "", "shard nigh has no Lease yet"},               // although others begin with it
		{"example", "nightly.example.com.0-of-2", ""},             // the only one that can be meant
		{"n", "", "use one of night, nightly.example.com.0-of-2"}, // and not of those without
		{"week", "", `there is no shard "week": use one of night, nightly.example.com.0-of-2`},
	} {
		got, err := s.findShard(tc.asked)
		if got != tc.want || (err != nil) != (tc.err != "") {
			t.Errorf("%q is %q, %v; want %q", tc.asked, got, err, tc.want)
		}
		if tc.err != "" {
			says(t, err, tc.err)
		}
	}
}

func TestNamesOfMembers(t *testing.T) {
	sidecar := member("both-1")
	sidecar.Name += "x"
	*sidecar.Spec.HolderIdentity = strings.Replace(identity("both-1"), "_main.", "_sidecar.", 1)
	s := snapshotOf(
		member("web-7d9-abcde"), member("web-7d9-fghij"), member("web-7d9-fghij-2"),
		member("both-1"), sidecar, member("ended-1", lease.AnnotationEnded, identity("ended-1")),
	)
	for _, tc := range []struct{ asked, want, err string }{
		{"web-7d9-fghij", identity("web-7d9-fghij"), ""}, // although another begins with it
		{identity("web-7d9-abcde"), identity("web-7d9-abcde"), ""},
		{"abc", identity("web-7d9-abcde"), ""},
		{"ended-1", identity("ended-1"), ""},
		{"ended", "", `there is no member "ended": use one of both-1_`},
		{"web", "", `member "web" is ambiguous: use one of web-7d9-abcde, web-7d9-fghij, web-7d9-fghij-2`},
		{"both-1", "", `member "both-1" is ambiguous: use one of ` + identity("both-1") + ", " + *sidecar.Spec.HolderIdentity},
		{"both-1_uid-both-1_s", *sidecar.Spec.HolderIdentity, ""},
		{"nobody", "", `there is no member "nobody"`},
		{"uid-web", "", `there is no member "uid-web"`}, // no part of an identity: hexadecimal digits are in all of them
	} {
		got, err := s.findMember(tc.asked)
		if got.Identity != tc.want || (err != nil) != (tc.err != "") {
			t.Errorf("%q is %q, %v; want %q", tc.asked, got.Identity, err, tc.want)
		}
		if tc.err != "" {
			says(t, err, tc.err)
		}
	}
}

// A Pod of a StatefulSet leaves the record of a namesake behind that crashed.
func TestNameOfAMemberIsNotThatOfAnEarlierNamesake(t *testing.T) {
	earlier := member("db-0")
	earlier.Name += "x"
	*earlier.Spec.HolderIdentity = "db-0_uid-earlier_main.boot.1"
	*earlier.Spec.LeaseDurationSeconds = 0
	s := snapshotOf(member("db-0"), earlier)
	for _, asked := range []string{"db-0", "db", "0"} {
		if got, err := s.findMember(asked); got.Identity != identity("db-0") {
			t.Errorf("%q is %q, %v; want the live one", asked, got.Identity, err)
		}
	}
	if got, err := s.findMember("db-0_uid-earlier_main.boot.1"); err != nil || got.Lease != earlier.Name {
		t.Errorf("the identity of the earlier one is %+v, %v", got, err)
	}
}

func TestCandidatesAreListedUpToALimit(t *testing.T) {
	var leases []*coordinationv1.Lease
	for i := range 13 {
		leases = append(leases, shardOf(fmt.Sprintf("s%02d", i), ""))
	}
	_, err := snapshotOf(leases...).findShard("s")
	says(t, err, "use one of s00, s01, s02, s03, s04, s05, s06, s07, s08, s09 and 3 more")
	_, err = snapshotOf().findMember("m")
	says(t, err, `there is no member "m": the group has no members`)
}
