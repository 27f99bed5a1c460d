// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// What chaos does to Leases: by hand, or as an elector that is none of ours.

// aged tells whether a Lease has existed for a second: one deleted in the second
// of its creation could come back with a lower fencing token (R7).
func (c *chaos) aged(l *coordinationv1.Lease) bool {
	return time.Duration(l.CreationTimestamp.Unix()-Epoch+2)*time.Second < c.w.now
}

// anyLease picks a Lease that has existed for a while.
func (c *chaos) anyLease() string {
	var old []string
	for _, name := range c.w.Server.Names() {
		if c.aged(c.w.Server.leases[name]) {
			old = append(old, name)
		}
	}
	if len(old) == 0 {
		return ""
	}
	return old[c.rng.IntN(len(old))]
}

func (c *chaos) deleteLease() {
	if name := c.anyLease(); name != "" && c.happens(LeaseDeleted) {
		c.w.logf("*", "deletes %s", name)
		c.w.Server.Remove(name)
	}
}

func (c *chaos) unlabelLease() {
	if name := c.anyLease(); name != "" && c.happens(LeaseUnlabelled) {
		if c.w.Server.rv%2 == 0 {
			c.w.logf("*", "takes from %s what the fence in the API server goes by", name)
			c.w.Server.Edit(name, func(l *coordinationv1.Lease) {
				delete(l.Labels, lease.LabelFamily)
				delete(l.Annotations, lease.AnnotationKind)
				delete(l.Annotations, lease.AnnotationScope)
			})
			return
		}
		c.w.logf("*", "takes the labels of %s away", name)
		c.w.Server.Edit(name, func(l *coordinationv1.Lease) { l.Labels = nil })
	}
}

func (c *chaos) annotateLease() {
	if name := c.anyLease(); name != "" && c.happens(LeaseAnnotated) {
		c.w.logf("*", "annotates %s", name)
		c.w.Server.Edit(name, func(l *coordinationv1.Lease) {
			metav1.SetMetaDataAnnotation(&l.ObjectMeta, "example.com/note", strconv.FormatUint(c.w.Server.rv, 10))
		})
	}
}

// restoreLease puts a shard's Lease, or the layout record, back as it was some time
// ago, as a new one.
func (c *chaos) restoreLease() {
	s := c.w.Server
	var old []*coordinationv1.Lease
	for _, change := range s.history {
		if change.After != nil && change.After.Labels[lease.LabelKind] != lease.KindMember {
			old = append(old, change.After)
		}
	}
	if len(old) == 0 {
		return
	}
	backup := old[c.rng.IntN(len(old))]
	if current := s.leases[backup.Name]; current != nil && !c.aged(current) || !c.happens(LeaseRestored) {
		return
	}
	c.w.logf("*", "restores %s", describeLease(backup))
	s.Remove(backup.Name)
	s.Create(backup)
}

const foreigner = "somebody-else"

// foreignOne is an elector that knows the standard rules only: it makes the
// Lease, takes one that is free or expired, or renews its own; and may be gone
// at any time.
func (c *chaos) foreignOne() {
	s := c.w.Server
	shards := c.w.Config.Shards
	name := lease.ShardLeaseName(Group, shards[c.rng.IntN(len(shards))].Name)
	seconds := 1 + c.rng.Int32N(2)
	current := s.leases[name]
	if current != nil && !c.takeable(current) || !c.happens(ForeignElector) {
		return
	}
	c.w.logf("*", "%s holds %s", foreigner, name)
	c.w.checkForeign(name)
	edit := func(l *coordinationv1.Lease) {
		epoch := ptr.Deref(l.Spec.LeaseTransitions, -1)
		if ptr.Deref(l.Spec.HolderIdentity, "") != foreigner {
			epoch++
		}
		hold(l, c.w.now, seconds, epoch)
	}
	if !s.Edit(name, edit) {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
		edit(l)
		s.Create(l)
	}
}

// checkForeign is G1 where an elector that knows the standard rules only takes a
// Lease, as those allow (R14): none of ours may act for its shard any more.
func (w *World) checkForeign(name string) {
	current := w.Server.leases[name]
	if current == nil || w.Checks.beyond {
		return
	}
	shard := strings.TrimPrefix(name, Group+".")
	for _, r := range w.Replicas {
		if r.Holds(shard) && r.Terms[shard].UID == current.UID {
			w.violatef(r, "exclusion", "%s is held at epoch %d while the standard rules let %s take it", shard, r.Terms[shard].Epoch, foreigner)
		}
	}
}

// hold makes a Lease one that the foreign elector holds.
func hold(l *coordinationv1.Lease, now time.Duration, seconds, epoch int32) {
	l.Spec.HolderIdentity = ptr.To(foreigner)
	l.Spec.LeaseDurationSeconds = &seconds
	l.Spec.LeaseTransitions = &epoch
	l.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Unix(Epoch, 0).Add(now)))
}

// takeable tells whether the standard rules allow a foreign elector to write the
// Lease: it is free, or its own, or has not changed for as long as it says.
func (c *chaos) takeable(l *coordinationv1.Lease) bool {
	holder := ptr.Deref(l.Spec.HolderIdentity, "")
	expires := time.Duration(ptr.Deref(l.Spec.LeaseDurationSeconds, 0)) * time.Second
	return holder == "" || holder == foreigner || c.w.now-c.w.Server.writtenAt[l.Name] > expires
}
