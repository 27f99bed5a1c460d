// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// checkFence checks that the admission policies of package fence would let the
// holders write. (A Lease of an earlier layout that was restored by hand keeps
// everybody from writing until the replicas have removed it.)
func (w *World) checkFence() {
	if refused := w.Refused(); len(refused) > 0 && w.Checks.Faults[LeaseRestored] == 0 {
		w.violatef(nil, "fence", "%s", strings.Join(refused, "; "))
	}
}

// Refused says of each term why the admission policies would refuse the writes of
// its holder: they find a family's Leases by their labels, and of all that speak of
// a key each has to agree, unless its layout is over or to come.
func (w *World) Refused() []string {
	var refused []string
	for _, r := range w.Alive() {
		for _, name := range slices.Sorted(maps.Keys(r.Terms)) {
			held := r.Terms[name]
			l := w.Server.leases[lease.ShardLeaseName(Group, name)]
			if l == nil || !held.validity.valid(r.now()) {
				continue
			}
			if l.Labels[lease.LabelFamily] != lease.FamilyLabel(held.Family) || l.Annotations[lease.AnnotationKind] == "" || l.Annotations[lease.AnnotationScope] == "" {
				refused = append(refused, fmt.Sprintf("%s does not say what the fence goes by: labels %v, annotations %v", describeLease(l), l.Labels, l.Annotations))
			}
			if fenceAbstains(l) {
				refused = append(refused, describeLease(l)+" is held, and does not keep others from writing")
			}
			for _, other := range w.speakingOf(held.Family) {
				_, b := lease.ParseShardName(other.Name[len(Group)+1:])
				b.By = lease.Partition(other.Annotations[lease.AnnotationPartition])
				if other.Name != l.Name && b.Overlaps(held.Bucket) {
					refused = append(refused, fmt.Sprintf("%s keeps %s, the holder of %s, from writing", describeLease(other), r.Name, name))
				}
			}
		}
	}
	return refused
}

// speakingOf are the Leases of a family that do not abstain, by name.
func (w *World) speakingOf(family string) []*coordinationv1.Lease {
	var all []*coordinationv1.Lease
	for _, name := range w.Server.Names() {
		l := w.Server.leases[name]
		if l.Labels[lease.LabelKind] == lease.KindShard && l.Labels[lease.LabelFamily] == lease.FamilyLabel(family) && !fenceAbstains(l) {
			all = append(all, l)
		}
	}
	return all
}

// fenceAbstains tells whether the Lease is of a layout that is over, or to come.
func fenceAbstains(l *coordinationv1.Lease) bool {
	return l.Annotations[lease.AnnotationSealed] != "" || l.Annotations[lease.AnnotationComing] != ""
}
