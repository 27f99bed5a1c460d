// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scene makes up a group's Leases, for tests of what is shown of them: the
// records are such as replicas in session mode write, step by step as a test has
// it. Nothing decides here who may do what.
package scene

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Group is the name of the group.
const Group = "widgets-operator"

// LeaseDuration of all sessions.
const LeaseDuration = 15 * time.Second

// Scene is a group. Its methods take effect at once and may be called from
// everywhere.
type Scene struct {
	mu       sync.Mutex
	leases   map[string]*coordinationv1.Lease // by name; replaced, never modified
	sessions map[string]int                   // of each Pod
	families map[string]bool                  // of which shards were made
	changed  chan struct{}
	ago      time.Duration
}

// New is a group without members and shards.
func New() *Scene {
	return &Scene{leases: map[string]*coordinationv1.Lease{}, sessions: map[string]int{}, families: map[string]bool{}, changed: make(chan struct{})}
}

// Backdate has what is granted from now on have been granted that long ago.
func (s *Scene) Backdate(ago time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ago = ago
}

// Leases returns all of them, by name, and a channel that is closed when there is
// something newer.
func (s *Scene) Leases() ([]coordinationv1.Lease, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var leases []coordinationv1.Lease
	for _, name := range slices.Sorted(maps.Keys(s.leases)) {
		leases = append(leases, *s.leases[name])
	}
	return leases, s.changed
}

// change has a step change a Lease, which is made if need be; the step must not
// modify what the annotations were. All that changes together is seen together.
func (s *Scene) change(name, kind string, step func(l *coordinationv1.Lease)) {
	l, ok := s.leases[name]
	if !ok {
		l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("uid-of-" + name), Labels: map[string]string{lease.LabelGroup: Group, lease.LabelKind: kind},
		}}
	}
	l = l.DeepCopy()
	if l.Annotations == nil {
		l.Annotations = map[string]string{}
	}
	step(l)
	s.leases[name] = l
	s.show()
}

func (s *Scene) show() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// identity of the session that a Pod has now; s.mu is held.
func (s *Scene) identity(pod string) string {
	h := fnv.New32a()
	h.Write([]byte(pod))
	return lease.Identity{
		Replica:     lease.Replica{Pod: pod, UID: types.UID(fmt.Sprintf("%08x-1111-2222-3333-444444444444", h.Sum32())), Container: "main", Boot: "abc"},
		Incarnation: uint32(s.sessions[pod]), //nolint:gosec // a test has few
	}.String()
}

// Member is the name of a Pod's member Lease.
func Member(pod string) string { return Group + ".member-" + pod }

// Shard is the name of a shard's Lease.
func Shard(name string) string { return lease.ShardLeaseName(Group, name) }

// Join begins a session of each Pod, ready to hold any shard.
func (s *Scene) Join(pods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pod := range pods {
		s.sessions[pod]++
		s.change(Member(pod), lease.KindMember, func(l *coordinationv1.Lease) {
			l.Annotations = map[string]string{lease.AnnotationReady: "true", lease.AnnotationRevision: "7", lease.AnnotationServes: s.served()}
			l.Spec = coordinationv1.LeaseSpec{
				HolderIdentity: ptr.To(s.identity(pod)), LeaseDurationSeconds: ptr.To(int32(LeaseDuration / time.Second)),
				RenewTime: &metav1.MicroTime{Time: time.Now()},
			}
		})
	}
}

// served are the families of all shards, as member Leases have them; s.mu is held.
func (s *Scene) served() string { return strings.Join(slices.Sorted(maps.Keys(s.families)), ",") }

// Beat is a heartbeat of each Pod.
func (s *Scene) Beat(pods ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pod := range pods {
		s.change(Member(pod), lease.KindMember, func(l *coordinationv1.Lease) { l.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()} })
	}
}

// End has somebody end the session of a Pod.
func (s *Scene) End(pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(Member(pod), lease.KindMember, func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationEnded] = *l.Spec.HolderIdentity })
}

// Annotate sets an annotation of a Lease, or removes it if the value is empty.
func (s *Scene) Annotate(name, annotation, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(name, s.leases[name].Labels[lease.LabelKind], func(l *coordinationv1.Lease) {
		if value == "" {
			delete(l.Annotations, annotation)
		} else {
			l.Annotations[annotation] = value
		}
	})
}

// Delete removes a Lease.
func (s *Scene) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, name)
	s.show()
}

// Make makes the Leases of shards that nobody holds, and that every member serves.
func (s *Scene) Make(shards ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range shards {
		family, _ := lease.ParseShardName(name)
		s.families[family] = true
		s.change(Shard(name), lease.KindShard, func(l *coordinationv1.Lease) {
			l.Annotations[lease.AnnotationResource] = family
			l.Annotations[lease.AnnotationClaimed] = string(l.UID)
		})
	}
	for name, l := range s.leases {
		if l.Labels[lease.LabelKind] == lease.KindMember {
			s.change(name, lease.KindMember, func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationServes] = s.served() })
		}
	}
}

// Claim has a Pod take a shard, that nobody holds or whose holder's session is over.
func (s *Scene) Claim(shard, pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(Shard(shard), lease.KindShard, func(l *coordinationv1.Lease) {
		delete(l.Annotations, lease.AnnotationLeft)
		s.grant(l, pod)
	})
}

// HandOver has the holder of a shard give it to another Pod.
func (s *Scene) HandOver(shard, pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(Shard(shard), lease.KindShard, func(l *coordinationv1.Lease) {
		l.Annotations[lease.AnnotationLeft] = time.Now().UTC().Format(time.RFC3339Nano)
		s.grant(l, pod)
	})
}

func (s *Scene) grant(l *coordinationv1.Lease, pod string) {
	holder := s.identity(pod)
	l.Spec.HolderIdentity, l.Spec.LeaseTransitions = &holder, ptr.To(ptr.Deref(l.Spec.LeaseTransitions, 0)+1)
	l.Spec.AcquireTime = &metav1.MicroTime{Time: time.Now().Add(-s.ago)}
	l.Annotations[lease.AnnotationSession] = holder
	l.Annotations[lease.AnnotationClaimed] = string(l.UID)
	l.Annotations[lease.AnnotationDuration] = LeaseDuration.String()
}

// Release has the holder of a shard give it back, to nobody.
func (s *Scene) Release(shard string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change(Shard(shard), lease.KindShard, func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To("")
		delete(l.Annotations, lease.AnnotationSession)
		l.Annotations[lease.AnnotationLeft] = time.Now().UTC().Format(time.RFC3339Nano)
	})
}
