// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Status of a group. Its JSON form is stable: fields are added, never changed.
type Status struct {
	Group     string   `json:"group"`
	Namespace string   `json:"namespace"`
	Members   []Member `json:"members"`
	Shards    []Shard  `json:"shards"`
}

// Member is one replica's session.
type Member struct {
	Identity string `json:"identity"`
	Pod      string `json:"pod"`
	Revision int64  `json:"revision"`
	Ready    bool   `json:"ready"`
	Leaving  bool   `json:"leaving"`
	// Shards is how many shards the member holds.
	Shards int `json:"shards"`
	// Load is how many thousandths of a worker the member's shards keep busy.
	Load int64 `json:"load"`
	// RenewedAgo is the age of the last heartbeat, as a Go duration, by the
	// member's wall clock and the one here; empty if there was none.
	RenewedAgo string `json:"renewedAgo"`
	// State is live, leaving, lapsed (no heartbeat for the LeaseDuration) or
	// ended.
	State string `json:"state"`
}

// Shard is one shard.
type Shard struct {
	Name string `json:"name"`
	// Resource is the type, as resource.group; empty for a role.
	Resource string `json:"resource"`
	// Bucket is which part of the type it is, as i-of-n; empty for all of it.
	Bucket string `json:"bucket"`
	// Holder is the identity of the session that holds it; empty if none does.
	Holder string `json:"holder"`
	Epoch  int32  `json:"epoch"`
	State  State  `json:"state"`
	// Since is when it last changed hands, in RFC 3339.
	Since string `json:"since"`
	// Preferred names the Pod that the shard is pinned to; empty if none.
	Preferred string `json:"preferred"`
	// Problem is what its holder reports to fail; empty if nothing.
	Problem string `json:"problem,omitempty"`
}

// State of a shard.
type State string

// The states.
const (
	Held     State = "held"
	Draining State = "draining" // its holder is leaving
	Unheld   State = "unheld"   // nobody holds it, or the session of its holder is over
	Foreign  State = "foreign"  // held by an elector that is not of this group
)

// The states of a member.
const (
	live    = "live"
	leaving = "leaving"
	lapsed  = "lapsed"
	ended   = "ended"
)

// Of reads the status of a group from its Leases, at the time now.
func Of(group, namespace string, leases []coordinationv1.Lease, now time.Time) Status {
	s := Status{Group: group, Namespace: namespace, Members: []Member{}, Shards: []Shard{}}
	problems := map[string]map[string]string{} // shard -> member -> what fails
	states := map[string]string{}
	for i := range leases {
		if l := &leases[i]; l.Labels[lease.LabelKind] == lease.KindMember {
			record := lease.DecodeMember(l)
			m := member(record, now)
			s.Members = append(s.Members, m)
			states[m.Identity] = m.State
			if m.State == live || m.State == leaving {
				addProblems(problems, record.Problems, m)
			}
		}
	}
	held := map[string]int{}
	for i := range leases {
		if l := &leases[i]; l.Labels[lease.LabelKind] == lease.KindShard {
			shard := shardOf(strings.TrimPrefix(l.Name, group+"."), lease.DecodeShard(l), states, now)
			shard.Problem = problemOf(shard, problems[shard.Name])
			delete(problems, shard.Name)
			if shard.State != Unheld {
				held[shard.Holder]++
			}
			s.Shards = append(s.Shards, shard)
		}
	}
	// What has no Lease yet, such as a type that is not served, is reported by
	// the members alone.
	for name, reports := range problems {
		shard := Shard{Name: name, State: Unheld}
		shard.Problem = problemOf(shard, reports)
		s.Shards = append(s.Shards, shard)
	}
	for i := range s.Members {
		s.Members[i].Shards = held[s.Members[i].Identity]
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.Identity, b.Identity) })
	slices.SortFunc(s.Shards, func(a, b Shard) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func member(m lease.Member, now time.Time) Member {
	ago := max(0, now.Sub(m.Renewed))
	out := Member{
		Identity: m.Holder, Pod: PodOf(m.Holder), Revision: m.Revision,
		Ready: m.Ready, Leaving: m.Leaving, State: live,
	}
	if !m.Renewed.IsZero() { // a record may have been made only to end a session
		out.RenewedAgo = ago.Round(100 * time.Millisecond).String()
	}
	for _, load := range m.Load {
		out.Load += load
	}
	switch {
	case m.Ended == m.Holder:
		out.State, out.Ready = ended, false
	case ago > m.Duration:
		out.State = lapsed
	case m.Leaving:
		out.State = leaving
	}
	return out
}

// addProblems takes in what a member reports.
func addProblems(all map[string]map[string]string, reported map[string]string, m Member) {
	for shard, problem := range reported {
		if all[shard] == nil {
			all[shard] = map[string]string{}
		}
		all[shard][m.Identity] = fmt.Sprintf("%s: %s", m.Pod, problem)
	}
}

// problemOf is what the shard's holder reports; of a shard that nobody holds,
// what the first member reports that cannot.
func problemOf(s Shard, reports map[string]string) string {
	if s.State == Held || s.State == Draining {
		return reports[s.Holder]
	}
	for _, member := range slices.Sorted(maps.Keys(reports)) {
		return reports[member]
	}
	return ""
}

func shardOf(name string, record lease.Shard, members map[string]string, now time.Time) Shard {
	s := Shard{Name: name, Resource: record.Resource, Holder: record.Holder, Epoch: record.Epoch, State: Held}
	if !record.Acquired.IsZero() {
		s.Since = record.Acquired.UTC().Format(time.RFC3339)
	}
	state, known := members[record.Holder]
	switch {
	case record.Holder == "":
		s.State = Unheld
	case !record.Session && now.Sub(record.Renewed) > record.Duration:
		s.State = Unheld // renewed by itself, in lease mode or by somebody else: not any more
	case !record.Session && !known:
		s.State = Foreign
	case !known || state == ended || state == lapsed:
		s.State = Unheld
	case state == leaving:
		s.State = Draining
	}
	return s
}

// PodOf is the name of the Pod in an identity, or the identity itself if it is
// not one of ours.
func PodOf(identity string) string {
	if id, err := lease.ParseIdentity(identity); err == nil {
		return id.Pod
	}
	return identity
}
