// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Server is the API server as far as the protocol knows it: one linear history
// of states, a resourceVersion for each, compare-and-swap on it. Leases in it
// are never changed, so they are handed out without a copy.
type Server struct {
	// Changed is told of each change, right after it.
	Changed func()

	rv     uint64
	uids   int
	leases map[string]*coordinationv1.Lease
	// history holds the change to resourceVersion n at n-1.
	history []Change
	// compacted is the newest resourceVersion that a watch can no longer go on
	// from: it is told 410 and has to list.
	compacted uint64
	// writtenAt is the true time of the last write of each Lease.
	writtenAt map[string]time.Duration
	// now tells the true time.
	now func() time.Duration
	// sessions is what member Leases have ever said of the ends of sessions.
	sessions sessions
}

// Change is one step of the history: at resourceVersion RV, the Lease Before
// was replaced by the Lease After, at the true time At. Either may be nil.
type Change struct {
	RV            uint64
	At            time.Duration
	Before, After *coordinationv1.Lease
}

// Epoch is the API server's wall clock at the beginning, in seconds since 1970.
const Epoch = 1_700_000_000

func newServer(now func() time.Duration) *Server {
	return &Server{
		Changed:   func() {},
		rv:        1, // etcd's first revision: nothing was written yet
		leases:    map[string]*coordinationv1.Lease{},
		history:   []Change{{RV: 1}},
		writtenAt: map[string]time.Duration{},
		now:       now,
		sessions:  sessions{ended: map[string]bool{}, latest: map[lease.Replica]uint32{}},
	}
}

// Lease is a Lease as it is now; nil if it is not there.
func (s *Server) Lease(name string) *coordinationv1.Lease { return s.leases[name] }

// Names are the names of all Leases, sorted.
func (s *Server) Names() []string { return slices.Sorted(maps.Keys(s.leases)) }

// History is every change there was.
func (s *Server) History() []Change { return s.history }

// Do carries out a request.
func (s *Server) Do(op lease.Op) (lease.Outcome, *coordinationv1.Lease) {
	current := s.leases[op.Name]
	switch op.Verb {
	case lease.Get:
		if current == nil {
			return lease.NotFound, nil
		}
		return lease.OK, current
	case lease.Create:
		switch {
		case current != nil:
			return lease.Conflict, nil
		case !writable(op.Lease):
			return lease.Rejected, nil
		}
		return lease.OK, s.Create(op.Lease)
	case lease.Update:
		return s.update(current, op.Lease)
	case lease.Delete:
		switch {
		case current == nil:
			return lease.NotFound, nil
		case current.UID != op.Lease.UID || current.ResourceVersion != op.Lease.ResourceVersion:
			return lease.Conflict, nil
		}
		s.Remove(op.Name)
		return lease.OK, nil
	}
	panic("unknown verb " + op.Verb)
}

// Create makes a Lease that is not there, with a UID and a creation time of its
// own.
func (s *Server) Create(like *coordinationv1.Lease) *coordinationv1.Lease {
	s.uids++
	l := like.DeepCopy()
	l.UID = types.UID("uid-" + strconv.Itoa(s.uids))
	l.CreationTimestamp = metav1.Unix(Epoch+int64(s.now()/time.Second), 0)
	return s.commit(nil, l)
}

func (s *Server) update(current, next *coordinationv1.Lease) (lease.Outcome, *coordinationv1.Lease) {
	switch {
	case !writable(next):
		return lease.Rejected, nil
	case current == nil:
		// The API server makes a Lease that is not there on an update, too;
		// but the UID in what is written is a precondition.
		return lease.Conflict, nil
	// The real one refuses a Lease without a resourceVersion; here that is a
	// write which nothing contends with, so that a forgotten one shows.
	case next.UID != current.UID || next.ResourceVersion != "" && next.ResourceVersion != current.ResourceVersion:
		return lease.Conflict, nil
	case reflect.DeepEqual(next, current):
		return lease.OK, current // the API server does not write what changes nothing
	}
	l := *next // what it points to is never changed
	l.CreationTimestamp = current.CreationTimestamp
	return lease.OK, s.commit(current, &l)
}

// writable is the API server's validation.
func writable(l *coordinationv1.Lease) bool {
	return ptr.Deref(l.Spec.LeaseDurationSeconds, 1) > 0 && ptr.Deref(l.Spec.LeaseTransitions, 0) >= 0
}

// Edit changes a Lease by hand, whatever it is at this moment; false if it is
// not there.
func (s *Server) Edit(name string, edit func(*coordinationv1.Lease)) bool {
	current := s.leases[name]
	if current == nil {
		return false
	}
	l := current.DeepCopy()
	edit(l)
	s.commit(current, l)
	return true
}

// Remove deletes a Lease, as a hand or the garbage collector does; false if it
// is not there.
func (s *Server) Remove(name string) bool {
	current := s.leases[name]
	if current == nil {
		return false
	}
	s.commit(current, nil)
	return true
}

func (s *Server) commit(before, after *coordinationv1.Lease) *coordinationv1.Lease {
	s.rv++
	if after != nil {
		after.ResourceVersion = strconv.FormatUint(s.rv, 10)
		s.leases[after.Name] = after
		s.writtenAt[after.Name] = s.now()
		s.sessions.learn(after)
	} else {
		delete(s.leases, before.Name)
	}
	s.history = append(s.history, Change{RV: s.rv, At: s.now(), Before: before, After: after})
	s.Changed()
	return after
}

// list is the list with the group's label as it was at a resourceVersion.
func (s *Server) list(rv uint64) lease.Listed {
	at := maps.Clone(s.leases)
	for i := len(s.history) - 1; s.history[i].RV > rv; i-- {
		switch c := s.history[i]; {
		case c.Before != nil:
			at[c.Before.Name] = c.Before
		case c.After != nil:
			delete(at, c.After.Name)
		}
	}
	listed := lease.Listed{ResourceVersion: strconv.FormatUint(rv, 10)}
	for _, name := range slices.Sorted(maps.Keys(at)) {
		if selected(at[name]) {
			listed.Leases = append(listed.Leases, at[name])
		}
	}
	return listed
}

// takesSince tells whether the record of a session has said that it is ready, and does
// not decline a family, at some time since then.
func (s *Server) takesSince(session, family string, since time.Duration) bool {
	takes := func(l *coordinationv1.Lease) bool {
		if l == nil || l.Name != recordOf(session) {
			return false
		}
		m := lease.DecodeMember(l)
		return m.Holder == session && m.Ready && m.Declines[family] == ""
	}
	if takes(s.leases[recordOf(session)]) {
		return true
	}
	for i := len(s.history) - 1; i >= 0 && s.history[i].At >= since; i-- {
		if takes(s.history[i].Before) {
			return true
		}
	}
	return false
}

// shows is the watch event that a change makes for the group's label; nil if
// it makes none. A Lease that loses the label is a deleted one, at the
// resourceVersion of the change: so the API server does it.
func (c Change) shows() lease.Event {
	switch {
	case selected(c.After):
		return lease.Observed{Lease: c.After}
	case selected(c.Before):
		gone := *c.Before
		gone.ResourceVersion = strconv.FormatUint(c.RV, 10)
		return lease.Observed{Lease: &gone, Deleted: true}
	}
	return nil
}

// hidesMember tells whether the record of any member has lost the group's label.
func (s *Server) hidesMember() bool {
	for name, l := range s.leases {
		if strings.HasPrefix(name, Group+".member-") && !selected(l) {
			return true
		}
	}
	return false
}

func selected(l *coordinationv1.Lease) bool {
	return l != nil && l.Labels[lease.LabelGroup] == Group
}

// heldBy says who holds a shard by the record, for people.
func (s *Server) heldBy(shard string) string {
	l := s.leases[lease.ShardLeaseName(Group, shard)]
	if l == nil {
		return "no Lease"
	}
	d := lease.DecodeShard(l)
	return fmt.Sprintf("%q at epoch %d", d.Holder, d.Epoch)
}

func formatRV(rv uint64) string { return strconv.FormatUint(rv, 10) }

// parseRV reads a resourceVersion; 0 is no valid one.
func parseRV(s string) uint64 {
	rv, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return rv
}
