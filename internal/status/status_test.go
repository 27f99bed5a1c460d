// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const (
	ann   = "ann-1_11111111-1111-1111-1111-111111111111_main.abc.1"
	bob   = "bob-2_22222222-2222-2222-2222-222222222222_main.def.3"
	crash = "crash_33333333-3333-3333-3333-333333333333_main.ghi.1"
	gone  = "gone_44444444-4444-4444-4444-444444444444_main.jkl.1"
)

func memberLease(identity string, renewedAgo time.Duration, annotations map[string]string) coordinationv1.Lease {
	return coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "g.member-" + identity[:3], Labels: map[string]string{lease.LabelKind: lease.KindMember}, Annotations: annotations},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &identity, LeaseDurationSeconds: ptr.To[int32](15),
			RenewTime: &metav1.MicroTime{Time: now.Add(-renewedAgo)},
		},
	}
}

func shardLease(name, holder, session string, epoch int32) coordinationv1.Lease {
	return coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: "g." + name, UID: types.UID("uid-" + name), Labels: map[string]string{lease.LabelKind: lease.KindShard},
			Annotations: map[string]string{lease.AnnotationSession: session, lease.AnnotationClaimed: "uid-" + name, lease.AnnotationResource: name},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseTransitions: &epoch, AcquireTime: &metav1.MicroTime{Time: now.Add(-90 * time.Second)}},
	}
}

// byItself makes a shard Lease one that is renewed by the standard rules.
func byItself(l coordinationv1.Lease, renewedAgo time.Duration) coordinationv1.Lease {
	l.Spec.LeaseDurationSeconds = ptr.To[int32](15)
	l.Spec.RenewTime = &metav1.MicroTime{Time: now.Add(-renewedAgo)}
	return l
}

func example() Status {
	return Of("g", "ns", []coordinationv1.Lease{
		memberLease(bob, 2*time.Second, map[string]string{lease.AnnotationReady: "true", lease.AnnotationLeaving: "true", lease.AnnotationRevision: "7"}),
		memberLease(ann, time.Second, map[string]string{
			lease.AnnotationReady: "true", lease.AnnotationLoad: `{"a":250,"b":500}`,
			lease.AnnotationProblems: `{"a":"1 failing, last x: no paint","b":"cache","c":"cache","late":"late: Missing"}`,
		}),
		memberLease(crash, 20*time.Second, map[string]string{lease.AnnotationReady: "true"}),
		memberLease(gone, time.Second, map[string]string{lease.AnnotationEnded: gone}),
		byItself(shardLease("i", ann, "", 1), time.Second),
		byItself(shardLease("h", ann, "", 1), 20*time.Second),
		byItself(shardLease("g", "someone-else", "", 1), 20*time.Second),
		byItself(shardLease("f", "someone-else", "", 1), time.Second),
		shardLease("e", "", "", 4),
		shardLease("d", gone, gone, 1),
		shardLease("c", crash, crash, 2),
		shardLease("b", bob, bob, 1),
		shardLease("a", ann, ann, 3),
		{ObjectMeta: metav1.ObjectMeta{Name: lease.LayoutLeaseName("g"), Labels: map[string]string{lease.LabelKind: lease.KindLayout}}},
	}, now)
}

func TestStatesOfMembersAndShards(t *testing.T) {
	s := example()
	members := map[string]string{}
	for _, m := range s.Members {
		members[m.Pod] = m.State
	}
	for pod, want := range map[string]string{"ann-1": Live, "bob-2": Leaving, "crash": Lapsed, "gone": Ended} {
		if members[pod] != want {
			t.Errorf("member %s is %q, want %q", pod, members[pod], want)
		}
	}
	var shards []string
	for _, sh := range s.Shards {
		shards = append(shards, sh.Name+" "+string(sh.State))
	}
	if got, want := strings.Join(shards, ", "), "a held, b draining, c unheld, d unheld, e unheld, f foreign, g unheld, h unheld, i held, late unheld"; got != want {
		t.Errorf("shards are\n%s, want\n%s", got, want)
	}
}

func TestAProblemIsTheHoldersUnlessNobodyHolds(t *testing.T) {
	problems := map[string]string{}
	for _, sh := range example().Shards {
		problems[sh.Name] = sh.Problem
	}
	for shard, want := range map[string]string{"a": "ann-1: 1 failing, last x: no paint", "b": "", "c": "ann-1: cache", "late": "ann-1: late: Missing"} {
		if problems[shard] != want {
			t.Errorf("the problem of %s is %q, want %q", shard, problems[shard], want)
		}
	}
}

// The JSON form is what scripts read: a change here breaks them.
func TestJSONIsStable(t *testing.T) {
	s := example()
	s.Members, s.Shards = s.Members[:1], s.Shards[:1]
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "group": "g",
  "namespace": "ns",
  "members": [
    {
      "identity": "` + ann + `",
      "pod": "ann-1",
      "revision": 0,
      "ready": true,
      "leaving": false,
      "shards": 2,
      "load": 750,
      "renewedAgo": "1s",
      "state": "live",
      "problem": "b: cache"
    }
  ],
  "shards": [
    {
      "name": "a",
      "resource": "a",
      "bucket": "",
      "holder": "` + ann + `",
      "epoch": 3,
      "state": "held",
      "since": "2026-11-20T11:58:30Z",
      "preferred": "",
      "load": 250,
      "problem": "ann-1: 1 failing, last x: no paint"
    }
  ]
}`
	if string(got) != want {
		t.Errorf("the JSON is\n%s\nwant\n%s", got, want)
	}
}

// A peer may have made the record, only to end the session of a member whose own
// is gone.
func TestMemberWithoutAnyHeartbeat(t *testing.T) {
	record := memberLease(gone, 0, map[string]string{lease.AnnotationEnded: gone})
	record.Spec.RenewTime = nil
	s := Of("g", "ns", []coordinationv1.Lease{record, shardLease("a", gone, gone, 1)}, now)
	if m := s.Members[0]; m.RenewedAgo != "" || m.State != Ended || m.Shards != 0 {
		t.Errorf("renewed %q ago, %s, holding %d shards; want never, ended, none", m.RenewedAgo, m.State, m.Shards)
	}
	var out strings.Builder
	if err := s.Print(&out, false, now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "never") {
		t.Errorf("the table does not say never:\n%s", out.String())
	}
}

func TestEmptyGroupHasListsNotNull(t *testing.T) {
	raw, err := json.Marshal(Of("g", "ns", nil, now))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"group":"g","namespace":"ns","members":[],"shards":[]}`; string(raw) != want {
		t.Errorf("the JSON is %s, want %s", raw, want)
	}
}

func TestTable(t *testing.T) {
	for _, tc := range []struct {
		name string
		wide bool
		want []string
	}{
		{"for people", false, []string{"Group g in namespace ns: 4 members, 10 shards", "ann-1", "0.75", "REVISION", "PIN", "late: Missing", "\nProblem of ann-1: b: cache\n"}},
		{"wide", true, []string{"0.25", ann, "someone-else"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			if err := example().Print(&out, tc.wide, now); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
		})
	}
}

// Nobody leads by a Lease whose epoch cannot rise any more, whoever it names.
func TestShardWhoseEpochIsAtItsEnd(t *testing.T) {
	s := Of("g", "ns", []coordinationv1.Lease{
		memberLease(ann, time.Second, map[string]string{lease.AnnotationReady: "true"}),
		shardLease("a", ann, ann, math.MaxInt32),
	}, now)
	if a := s.Shards[0]; a.State != Unheld || !strings.Contains(a.Problem, "delete Lease g.a") {
		t.Errorf("the shard is %s, problem %q; want it unheld, and to be told what to do", a.State, a.Problem)
	}
}
