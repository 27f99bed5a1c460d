// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestIdentityRoundTrip(t *testing.T) {
	for _, id := range []Identity{
		{Replica{Pod: "web-0", UID: "0b5c", Container: "main", Boot: "x1y2"}, 1},
		{Replica{Pod: "web.example-7d", UID: "6f1a9c1e-4a5b-4b8e-9a39-0d3f5a1f2b3c", Container: "a", Boot: "0"}, 4294967295},
	} {
		got, err := ParseIdentity(id.String())
		if err != nil || got != id {
			t.Errorf("%s reads as %+v, %v", id, got, err)
		}
	}
}

// Without a Pod the boot nonce stands in for the UID, so that two processes
// that were given one name share nothing.
func TestIdentityWithoutPod(t *testing.T) {
	first := Identity{Replica{Pod: "host", Container: "main", Boot: "x"}, 1}
	second := Identity{Replica{Pod: "host", Container: "main", Boot: "y"}, 1}
	if first.SameReplica(second) || MemberLeaseName("g", first.Replica) == MemberLeaseName("g", second.Replica) {
		t.Error("two processes count as one replica")
	}
	parsed, err := ParseIdentity(first.String())
	if err != nil || !parsed.SameReplica(first) || parsed.String() != first.String() {
		t.Errorf("%s reads as %+v, %v", first, parsed, err)
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	for _, s := range []string{
		"", "_", "__", "a", "client-go-elector_4f8c", "a_b_c", "a_b_c.d", "a_b_c.d.", "a_b_c.d.x", "a_b_c.d.-1", "a_b_c.d.01",
		"a_b_c.d.4294967296", "a_b_c.d.1_", "a_b_c.d.1.2", "A_b_c.d.1", "a_B_c.d.1", "a_b_C.d.1", "a_b_c.D.1", "a__c.d.1",
		"_b_c.d.1", "a_b_.d.1", "a_b_c..1", "a b_b_c.d.1", "a_b_c.d.1\n", strings.Repeat("a", 300) + "_b_c.d.1",
	} {
		if id, err := ParseIdentity(s); err == nil {
			t.Errorf("%q reads as %+v", s, id)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "a", "-", ".", "a-", "-a", "a.b", "a..b", "a.-b", "a-.b", "a--b", "A", "a_b", "\u00e9", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 254)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := isLabel(s), len(validation.IsDNS1123Label(s)) == 0; got != want {
			t.Errorf("label %q: %t, want %t", s, got, want)
		}
		if got, want := isSubdomain(s), len(validation.IsDNS1123Subdomain(s)) == 0; got != want {
			t.Errorf("subdomain %q: %t, want %t", s, got, want)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	f.Add("web-0_0b5c_main.x1y2.1")
	f.Add("a_b_c.d.01")
	f.Add("__..")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseIdentity(s)
		if err != nil {
			return
		}
		if id.String() != s {
			t.Errorf("%q reads as %+v, which is written %q", s, id, id)
		}
		if id.UID == "" {
			t.Errorf("%q has no UID", s)
		}
	})
}

func FuzzIdentity(f *testing.F) {
	f.Add("web-0", "0b5c", "main", "x1y2", uint32(1))
	f.Add("web-0", "", "main", "x1y2", uint32(0))
	f.Add("a_b", "c", "d.e", "f", uint32(7))
	f.Fuzz(func(t *testing.T, pod, uid, container, boot string, incarnation uint32) {
		id := Identity{Replica{Pod: pod, UID: types.UID(uid), Container: container, Boot: boot}, incarnation}
		if id.validate() != nil {
			return
		}
		got, err := ParseIdentity(id.String())
		if err != nil {
			t.Fatalf("%+v is valid, but %q cannot be read: %v", id, id, err)
		}
		if !got.SameReplica(id) || got.Incarnation != incarnation {
			t.Errorf("%+v reads as %+v", id, got)
		}
	})
}
