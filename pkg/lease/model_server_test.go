// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// modelServer is the API server as far as the protocol knows it: one linear
// history of states, a resourceVersion for each, compare-and-swap on it. Leases
// in it are never changed, so they are handed out without a copy. The change to
// resourceVersion n is history[n-1].
type modelServer struct {
	rv      uint64
	uids    int
	leases  map[string]*coordinationv1.Lease
	history []change
	// changed is told of each change, right after it.
	changed func()
}

// change is one step of the history: at resourceVersion rv, the Lease before
// was replaced by the Lease after. Either may be nil.
type change struct {
	rv            uint64
	before, after *coordinationv1.Lease
}

// serverEpoch is the API server's wall clock when the model starts.
const serverEpoch = 1_700_000_000

func newModelServer() *modelServer {
	return &modelServer{
		rv:      1, // etcd's first revision: nothing was written yet
		leases:  map[string]*coordinationv1.Lease{},
		history: []change{{rv: 1}},
		changed: func() {},
	}
}

// do carries out a request at a true time.
func (s *modelServer) do(now time.Duration, op Op) (Outcome, *coordinationv1.Lease) {
	current := s.leases[op.Name]
	switch op.Verb {
	case Get:
		if current == nil {
			return NotFound, nil
		}
		return OK, current
	case Create:
		switch {
		case current != nil:
			return Conflict, nil
		case !writable(op.Lease):
			return Rejected, nil
		}
		return OK, s.create(now, op.Lease)
	case Update:
		return s.update(current, op.Lease)
	case Delete:
		switch {
		case current == nil:
			return NotFound, nil
		case current.UID != op.Lease.UID || current.ResourceVersion != op.Lease.ResourceVersion:
			return Conflict, nil
		}
		s.remove(op.Name)
		return OK, nil
	}
	panic("unknown verb " + op.Verb)
}

func (s *modelServer) create(now time.Duration, lease *coordinationv1.Lease) *coordinationv1.Lease {
	s.uids++
	l := lease.DeepCopy()
	l.UID = types.UID("uid-" + strconv.Itoa(s.uids))
	l.CreationTimestamp = metav1.Unix(serverEpoch+int64(now/time.Second), 0)
	return s.commit(nil, l)
}

func (s *modelServer) update(current, lease *coordinationv1.Lease) (Outcome, *coordinationv1.Lease) {
	switch {
	case !writable(lease):
		return Rejected, nil
	case current == nil:
		// The API server makes a Lease that is not there on an update, too;
		// but the UID in what is written is a precondition.
		return Conflict, nil
	case lease.UID != current.UID || lease.ResourceVersion != current.ResourceVersion:
		return Conflict, nil
	case reflect.DeepEqual(lease, current):
		return OK, current // the API server does not write what changes nothing
	}
	l := lease.DeepCopy()
	l.CreationTimestamp = current.CreationTimestamp
	return OK, s.commit(current, l)
}

// writable is the API server's validation.
func writable(l *coordinationv1.Lease) bool {
	return ptr.Deref(l.Spec.LeaseDurationSeconds, 1) > 0 && ptr.Deref(l.Spec.LeaseTransitions, 0) >= 0
}

// edit changes a Lease by hand, whatever it is at this moment; false if it is
// not there.
func (s *modelServer) edit(name string, edit func(*coordinationv1.Lease)) bool {
	current := s.leases[name]
	if current == nil {
		return false
	}
	l := current.DeepCopy()
	edit(l)
	s.commit(current, l)
	return true
}

// remove deletes a Lease, as a hand or the garbage collector does; false if it
// is not there.
func (s *modelServer) remove(name string) bool {
	current := s.leases[name]
	if current == nil {
		return false
	}
	s.commit(current, nil)
	return true
}

func (s *modelServer) commit(before, after *coordinationv1.Lease) *coordinationv1.Lease {
	s.rv++
	if after != nil {
		after.ResourceVersion = strconv.FormatUint(s.rv, 10)
		s.leases[after.Name] = after
	} else {
		delete(s.leases, before.Name)
	}
	s.history = append(s.history, change{rv: s.rv, before: before, after: after})
	s.changed()
	return after
}

// list is the list with the group's label as it was at a resourceVersion.
func (s *modelServer) list(group string, rv uint64) Listed {
	at := map[string]*coordinationv1.Lease{}
	for _, c := range s.history {
		switch {
		case c.rv > rv:
		case c.after != nil:
			at[c.after.Name] = c.after
		case c.before != nil:
			delete(at, c.before.Name)
		}
	}
	listed := Listed{ResourceVersion: strconv.FormatUint(rv, 10)}
	for _, name := range sortedKeys(at) {
		if selected(group, at[name]) {
			listed.Leases = append(listed.Leases, at[name])
		}
	}
	return listed
}

// shows is the watch event that a change makes for the group's label; nil if
// it makes none. A Lease that loses the label is a deleted one, at the
// resourceVersion of the change: so the API server does it.
func (c change) shows(group string) Event {
	switch {
	case selected(group, c.after):
		return Observed{Lease: c.after}
	case selected(group, c.before):
		gone := c.before.DeepCopy()
		gone.ResourceVersion = strconv.FormatUint(c.rv, 10)
		return Observed{Lease: gone, Deleted: true}
	}
	return nil
}

func selected(group string, l *coordinationv1.Lease) bool {
	return l != nil && l.Labels[LabelGroup] == group
}

// heldBy says who holds a shard by the record, for transcripts.
func (s *modelServer) heldBy(group, shard string) string {
	l := s.leases[ShardLeaseName(group, shard)]
	if l == nil {
		return "no Lease"
	}
	d := DecodeShard(l)
	return fmt.Sprintf("%q at epoch %d", d.Holder, d.Epoch)
}
