// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// identity is that of a Pod's session, in the container main.
func identity(pod string) string { return pod + "_" + uidOf(pod) + "_main.boot.1" }

func uidOf(pod string) string { return "uid-" + pod }

// member is the Lease of a member that is live, ready and serves a, b and c, but
// for what annotations, key by value, say.
func member(pod string, annotations ...string) *coordinationv1.Lease {
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: lease.MemberLeaseName("g", lease.Replica{UID: types.UID(uidOf(pod)), Container: "main"}), Namespace: "ns",
			Labels:      map[string]string{lease.LabelGroup: "g", lease.LabelKind: lease.KindMember},
			Annotations: map[string]string{lease.AnnotationReady: "true", lease.AnnotationServes: "a,b,c"},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To(identity(pod)), LeaseDurationSeconds: ptr.To[int32](3600), RenewTime: ptr.To(metav1.NowMicro()),
		},
	}
	return annotated(l, annotations...)
}

// shardOf is the Lease of a shard that a Pod's session holds, nobody's if empty.
func shardOf(name, pod string, annotations ...string) *coordinationv1.Lease {
	holder := ""
	if pod != "" {
		holder = identity(pod)
	}
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: lease.ShardLeaseName("g", name), Namespace: "ns", UID: types.UID(name),
			Labels:      map[string]string{lease.LabelGroup: "g", lease.LabelKind: lease.KindShard},
			Annotations: map[string]string{lease.AnnotationSession: holder, lease.AnnotationClaimed: name},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseTransitions: ptr.To[int32](5)},
	}
	return annotated(l, annotations...)
}

func annotated(l *coordinationv1.Lease, annotations ...string) *coordinationv1.Lease {
	for i := 0; i < len(annotations); i += 2 {
		l.Annotations[annotations[i]] = annotations[i+1]
	}
	return l
}

// api is a fake API server with one group.
type api struct {
	*fake.Clientset
	group *group
}

func serve(leases ...*coordinationv1.Lease) *api {
	objects := make([]runtime.Object, len(leases))
	for i, l := range leases {
		objects[i] = l
	}
	client := fake.NewClientset(objects...)
	return &api{Clientset: client, group: &group{
		name: "g", namespace: "ns", leases: client.CoordinationV1().Leases("ns"), admission: client.AdmissionregistrationV1(),
	}}
}

// now is the group as it is.
func (a *api) now(t *testing.T) snapshot {
	t.Helper()
	_, s, err := openGroup(t.Context(), a.group.leases, "ns", "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// put creates or updates a Lease.
func (a *api) put(t *testing.T, l *coordinationv1.Lease) {
	t.Helper()
	_, err := a.group.leases.Update(t.Context(), l, metav1.UpdateOptions{})
	if err != nil {
		_, err = a.group.leases.Create(t.Context(), l, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// annotation of a Lease, and whether it has any.
func (a *api) annotation(t *testing.T, l *coordinationv1.Lease, key string) (string, bool) {
	t.Helper()
	now, err := a.group.leases.Get(t.Context(), l.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	value, ok := now.Annotations[key]
	return value, ok
}

// snapshotOf is what there is to see of Leases.
func snapshotOf(leases ...*coordinationv1.Lease) snapshot {
	all := make([]coordinationv1.Lease, len(leases))
	for i, l := range leases {
		all[i] = *l
	}
	return (&group{name: "g", namespace: "ns"}).snapshot(all, time.Now())
}

// says fails the test unless the error does.
func says(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// notWaiting is for commands that are to be done at once.
var notWaiting = patience{none: true, timeout: time.Minute}

// moveTo runs the command with names, as given by a user.
func (a *api) moveTo(t *testing.T, shard, pod string, p patience) (string, error) {
	t.Helper()
	return a.run(t, func(ctx context.Context, out *strings.Builder) error {
		return a.group.move(ctx, out, a.now(t), shard, pod, p)
	})
}

func (a *api) run(t *testing.T, command func(context.Context, *strings.Builder) error) (string, error) {
	t.Helper()
	var out strings.Builder
	err := command(t.Context(), &out)
	return out.String(), err
}
