// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// sessions remembers which sessions the records have ever called over: what R1
// demands of whoever takes a shard from one.
type sessions struct {
	ended  map[string]bool          // by a record's own word
	latest map[lease.Replica]uint32 // incarnation that a process's record has reached
}

// learn takes in a Lease that was written.
func (s *sessions) learn(l *coordinationv1.Lease) {
	if !strings.HasPrefix(l.Name, Group+".member-") {
		return
	}
	if ended := l.Annotations[lease.AnnotationEnded]; ended != "" && !s.ended[ended] && recordOf(ended) == l.Name {
		s.ended[ended] = true
	}
	if id, err := lease.ParseIdentity(ptr.Deref(l.Spec.HolderIdentity, "")); err == nil && lease.MemberLeaseName(Group, id.Replica) == l.Name {
		s.latest[id.Replica] = max(s.latest[id.Replica], id.Incarnation)
	}
}

// over tells whether a record has ever said that the session of id has ended.
func (s *sessions) over(id lease.Identity) bool {
	return s.ended[id.String()] || s.latest[id.Replica] > id.Incarnation
}

// recordOf is the name of the member Lease of an identity; empty if it is none
// of ours.
func recordOf(identity string) string {
	id, err := lease.ParseIdentity(identity)
	if err != nil {
		return ""
	}
	return lease.MemberLeaseName(Group, id.Replica)
}
