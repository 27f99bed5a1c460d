// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"encoding/json"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestDecodeShardMode(t *testing.T) {
	const holder = "a_uid_main.b1.1"
	for _, test := range []struct {
		name        string
		annotations map[string]string
		holder      string
		want        Shard
	}{
		{
			"in session mode",
			map[string]string{AnnotationSession: holder, AnnotationClaimed: "u1", AnnotationDuration: "15s"},
			holder,
			Shard{Holder: holder, Session: true, Claimed: true, Duration: 15 * time.Second},
		},
		{
			"released",
			map[string]string{AnnotationClaimed: "u1"},
			"",
			Shard{Claimed: true, Duration: 30 * time.Second},
		},
		{
			"taken by a foreign elector, which keeps annotations",
			map[string]string{AnnotationSession: holder, AnnotationClaimed: "u1", AnnotationDuration: "15s"},
			"somebody-else",
			Shard{Holder: "somebody-else", Claimed: true, Duration: 30 * time.Second},
		},
		{
			"made by a foreign elector",
			nil, "somebody-else",
			Shard{Holder: "somebody-else", Duration: 30 * time.Second},
		},
		{
			"restored from a backup",
			map[string]string{AnnotationSession: holder, AnnotationClaimed: "u0", AnnotationDuration: "15s"},
			holder,
			Shard{},
		},
		{
			"duration unreadable",
			map[string]string{AnnotationSession: holder, AnnotationClaimed: "u1", AnnotationDuration: "soon"},
			holder,
			Shard{Holder: holder, Session: true, Claimed: true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := DecodeShard(&coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{UID: "u1", Annotations: test.annotations},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &test.holder, LeaseDurationSeconds: ptr.To[int32](30)},
			})
			if got.Holder != test.want.Holder || got.Session != test.want.Session || got.Claimed != test.want.Claimed || got.Duration != test.want.Duration {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestTokenRises is R7.
func TestTokenRises(t *testing.T) {
	rising := []Shard{
		{},
		{Epoch: 1},
		{Epoch: math.MaxInt32},
		{Created: 1},
		{Created: 1_700_000_000, Epoch: 0},
		{Created: 1_700_000_000, Epoch: 7},
		{Created: 1_700_000_001, Epoch: 1},
		{Created: math.MaxUint32, Epoch: math.MaxInt32},
	}
	for i := 1; i < len(rising); i++ {
		if a, b := rising[i-1].Token(), rising[i].Token(); a >= b || a < 0 {
			t.Errorf("token %d of %+v is not below %d of %+v", a, rising[i-1], b, rising[i])
		}
	}
	for _, s := range []Shard{{Created: -62135596800}, {Created: math.MaxInt64, Epoch: math.MaxInt32}} {
		if s.Token() < 0 {
			t.Errorf("token of %+v is %d", s, s.Token())
		}
	}
}

func TestDecodeLayout(t *testing.T) {
	for _, test := range []struct {
		name        string
		annotations map[string]string
		settled     bool
		shards      int
	}{
		{"installed", nil, true, 0},
		{"empty", map[string]string{AnnotationLayout: ""}, false, 0},
		{"unreadable", map[string]string{AnnotationLayout: "{"}, false, 0},
		{"null", map[string]string{AnnotationLayout: "null"}, false, 0},
		{"too large", map[string]string{AnnotationLayout: `{"settled":true,"shards":{"` + strings.Repeat("x", maxLayout) + `":{}}}`}, false, 0},
		{"of another version", map[string]string{AnnotationLayout: `{"settled":true,"shards":{"s":{"firstUID":"u","buckets":4}},"more":1}`}, true, 1},
		{"as written", map[string]string{AnnotationLayout: Layout{Settled: true, Shards: map[string]LayoutShard{"s": {FirstUID: "u"}, "t": {}}}.encode()}, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := DecodeLayout(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Annotations: test.annotations}})
			if got.Settled != test.settled || len(got.Shards) != test.shards || got.Shards == nil {
				t.Errorf("got %+v, want settled %t and %d shards", got, test.settled, test.shards)
			}
		})
	}
}

func TestNewest(t *testing.T) {
	got := newest(map[string]string{"a": "9", "b": "10", "c": "x"}, map[string]string{"a": "10", "b": "9", "d": "1"})
	want := map[string]string{"a": "10", "b": "10", "c": "x", "d": "1"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := newest(nil, nil); len(got) != 0 {
		t.Errorf("nothing and nothing is %v", got)
	}
}

// FuzzDecode feeds Leases of any content to the decoders: they never panic and
// grant nothing that a Lease does not plainly say.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"metadata":{"name":"g.s","uid":"u"},"spec":{"holderIdentity":"a_u_main.b.1","leaseTransitions":2147483647}}`,
		`{"metadata":{"uid":"u","annotations":{"shardctl.dev/session":"x","shardctl.dev/claimed":"u","shardctl.dev/session-duration":"-1h"}},"spec":{"holderIdentity":"x","leaseTransitions":-1,"leaseDurationSeconds":-1}}`,
		`{"metadata":{"annotations":{"shardctl.dev/load":"{\"s\":1e99}","shardctl.dev/serves":",,,","shardctl.dev/layout":"[]"}}}`,
		`{"metadata":{"uid":"u","annotations":{"shardctl.dev/claimed":"u","shardctl.dev/preferred":"x","shardctl.dev/attempt":"-1"}},"spec":{"holderIdentity":"","renewTime":"0001-01-01T00:00:00.000000Z"}}`,
		`{"metadata":{"uid":"u","annotations":{"shardctl.dev/claimed":"u","shardctl.dev/preferred":"x","shardctl.dev/attempt":"18446744073709551616"}},"spec":{"holderIdentity":"y","renewTime":"9999-12-31T23:59:59.999999Z"}}`,
		`{"metadata":{"annotations":{"shardctl.dev/mode":"LEASE","shardctl.dev/ended":"x","shardctl.dev/attempt":"\u0000"}},"spec":{"holderIdentity":"x"}}`,
		`{"metadata":{"annotations":{"shardctl.dev/mode":"lease","shardctl.dev/carried":"{\"s\":null}"}},"spec":{"holderIdentity":"x"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var l coordinationv1.Lease
		if json.Unmarshal(raw, &l) != nil {
			return
		}
		s := DecodeShard(&l)
		switch {
		case s.Epoch < 0 || s.Token() < 0:
			t.Errorf("epoch %d, token %d", s.Epoch, s.Token())
		case s.Session && (s.Holder == "" || l.Annotations[AnnotationSession] != s.Holder || l.Annotations[AnnotationClaimed] != string(l.UID)):
			t.Errorf("session mode of %+v", l)
		case s.Holder != "" && s.Holder != ptr.Deref(l.Spec.HolderIdentity, ""):
			t.Errorf("holder %q of %+v", s.Holder, l)
		case s.Holder != "" && s.Preferred != "":
			t.Errorf("%q is preferred to the holder %q in %+v", s.Preferred, s.Holder, l)
		case s.Session != (s.mode() == SessionMode):
			t.Errorf("mode %q of %+v", s.mode(), l)
		}
		m := DecodeMember(&l)
		if m.Holder != ptr.Deref(l.Spec.HolderIdentity, "") || m.Duration < 0 || m.Mode == LeaseMode && l.Annotations[AnnotationMode] != string(LeaseMode) {
			t.Errorf("member %+v of %+v", m, l)
		}
		if layout := DecodeLayout(&l); layout.Shards == nil {
			t.Errorf("layout %+v", layout)
		}
	})
}
