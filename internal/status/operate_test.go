// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// ready is a member that heartbeats and serves families.
func ready(identity, serves string, annotations ...string) coordinationv1.Lease {
	l := memberLease(identity, time.Second, map[string]string{lease.AnnotationReady: "true", lease.AnnotationServes: serves})
	return annotated(l, annotations...)
}

// annotated sets annotations, given as key, value, key, value.
func annotated(l coordinationv1.Lease, annotations ...string) coordinationv1.Lease {
	for i := 0; i < len(annotations); i += 2 {
		l.Annotations[annotations[i]] = annotations[i+1]
	}
	return l
}

func layoutRecord(record string) coordinationv1.Lease {
	return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: lease.LayoutLeaseName("g"), Labels: map[string]string{lease.LabelKind: lease.KindLayout},
		Annotations: map[string]string{lease.AnnotationLayout: record},
	}}
}

// states are those of all shards, as "name state".
func states(leases ...coordinationv1.Lease) string {
	var shards []string
	for _, sh := range Of("g", "ns", leases, now).Shards {
		shards = append(shards, sh.Name+" "+string(sh.State))
	}
	return strings.Join(shards, ", ")
}

func TestStateOfAShardThatIsPinned(t *testing.T) {
	const pinned = lease.AnnotationPinned
	for _, tc := range []struct {
		name string
		pin  string
		bob  coordinationv1.Lease
		want string
	}{
		{"to its holder", "ann-1", ready(bob, "a"), "a pinned"},
		{"to a member that can take it", "bob-2", ready(bob, "a,b"), "a draining"},
		{"to a Pod that is not there", "carl-3", ready(bob, "a"), "a held"},
		{"to a member that is not ready", "bob-2", ready(bob, "a", lease.AnnotationReady, "false"), "a held"},
		{"to a member that is cordoned", "bob-2", ready(bob, "a", lease.AnnotationCordoned, "true"), "a held"},
		{"to a member that is leaving", "bob-2", ready(bob, "a", lease.AnnotationLeaving, "true"), "a held"},
		{"to a member that does not serve it", "bob-2", ready(bob, "b"), "a held"},
		{"to a member whose session is over", "bob-2", ready(bob, "a", lease.AnnotationEnded, bob), "a held"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			leases := []coordinationv1.Lease{ready(ann, "a"), tc.bob, annotated(shardLease("a", ann, ann, 1), pinned, tc.pin)}
			if got := states(leases...); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if got := Of("g", "ns", leases, now).Shards[0].Preferred; got != tc.pin {
				t.Errorf("preferred is %q, want %q", got, tc.pin)
			}
		})
	}
}

func TestAPinOfOneBucketIsServedByTheFamily(t *testing.T) {
	got := states(ready(ann, "a"), ready(bob, "a"), annotated(shardLease("a.1-of-4", ann, ann, 1), lease.AnnotationPinned, "bob-2"))
	if want := "a.1-of-4 draining"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestACordonedMemberDrains(t *testing.T) {
	leases := []coordinationv1.Lease{ready(ann, "a", lease.AnnotationCordoned, "true"), shardLease("a", ann, ann, 1)}
	if got, want := states(leases...), "a draining"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if m := Of("g", "ns", leases, now).Members[0]; m.State != Cordoned || m.Leaving || m.Shards != 1 {
		t.Errorf("the member is %+v, want cordoned, holding a shard", m)
	}
}

// While a family goes over from two buckets to three, the two are given away, and
// those that are sealed are history.
func TestLayoutThatIsLeft(t *testing.T) {
	got := states(
		layoutRecord(`{"settled":true,"families":{"a":{"buckets":3,"by":"uid","generation":2,"sealing":true,"from":[{"buckets":2,"by":"uid"}]}}}`),
		ready(ann, "a"),
		annotated(shardLease("a.0-of-2", "", "", 1), lease.AnnotationSealed, "2"),
		shardLease("a.1-of-2", ann, ann, 1),
		shardLease("a.0-of-3", ann, ann, 1),
		shardLease("a.1-of-3", "", "", 0),
		shardLease("b", ann, ann, 1),
	)
	if want := "a.1-of-2 draining, a.0-of-3 held, a.1-of-3 unheld, b held"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Until all is prepared, the two go on as before, and nobody is to hold the three.
func TestLayoutThatIsPrepared(t *testing.T) {
	for _, tc := range []struct{ name, layout, want string }{
		{"while it is", `"buckets":3,"by":"uid","generation":2,"from":[{"buckets":2,"by":"uid"}]`, "a.0-of-2 held, a.1-of-2 unheld"},
		{
			"after that", `"buckets":3,"by":"uid","generation":2,"sealing":true,"from":[{"buckets":2,"by":"uid"}]`,
			"a.0-of-2 draining, a.1-of-2 unheld, a.0-of-3 unheld",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := states(
				layoutRecord(`{"settled":true,"families":{"a":{`+tc.layout+`}}}`), ready(ann, "a"),
				shardLease("a.0-of-2", ann, ann, 1), shardLease("a.1-of-2", "", "", 1), shardLease("a.0-of-3", "", "", 0),
			)
			if got != tc.want {
				t.Errorf("%s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestBucketsAreInOrder(t *testing.T) {
	s := Of("g", "ns", []coordinationv1.Lease{
		shardLease("b", "", "", 0), shardLease("a.10-of-12", "", "", 0), shardLease("a.2-of-12", "", "", 0),
	}, now)
	var got []string
	for _, sh := range s.Shards {
		got = append(got, sh.Name+"="+sh.Bucket)
	}
	if want := "a.2-of-12=2-of-12 a.10-of-12=10-of-12 b="; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLoadIsTheHoldersOrTheLast(t *testing.T) {
	s := Of("g", "ns", []coordinationv1.Lease{
		ready(ann, "a,b,c", lease.AnnotationLoad, `{"a":250,"c":0}`),
		annotated(shardLease("a", ann, ann, 1), lease.AnnotationLoad, "100"),
		annotated(shardLease("b", ann, ann, 1), lease.AnnotationLoad, "100"),
		annotated(shardLease("c", "", "", 1), lease.AnnotationLoad, "300"),
	}, now)
	for i, want := range []int64{250, 100, 300} {
		if sh := s.Shards[i]; sh.Load != want {
			t.Errorf("the load of %s is %d, want %d", sh.Name, sh.Load, want)
		}
	}
}
