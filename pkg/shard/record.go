// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Reasons of the Events that a group records, and what it did.
const (
	reasonAcquired   = "Acquired"
	reasonHandedOver = "HandedOver"
	reasonReleased   = "Released"
	reasonLost       = "Lost"
	reasonFenced     = "Fenced"

	actionAcquire  = "Acquire"
	actionHandOver = "HandOver"
	actionRelease  = "Release"
	actionStop     = "Stop"
	actionWrite    = "Write"
)

const (
	// maxNotes is as many as there can be shards that change hands at once.
	maxNotes = lease.MaxShards
	// fencedPause is how often it is told of one shard that writes are refused: a
	// worker may try again and again.
	fencedPause = 10 * time.Second
)

// recorder tells as Events of the shards' Leases what became of them on this replica. The
// driver's goroutine and those that write leave notes, which never waits; recordLoop
// hands them to whoever records.
type recorder struct {
	to                    events.EventRecorder
	group, namespace, pod string
	own                   runtime.Object // the Pod; nil outside of any
	notes                 chan notice

	mu     sync.Mutex
	fenced map[string]time.Time // by shard: when it was told last that writes are refused
}

// notice is one Event to be.
type notice struct {
	term                 lease.Term
	kind, reason, action string
	text                 string
}

// newRecorder returns nil if nothing is to be recorded; it may be used like any other.
func newRecorder(o GroupOptions) *recorder {
	if o.Recorder == nil {
		return nil
	}
	r := &recorder{
		to: o.Recorder, group: o.Name, namespace: o.Namespace, pod: o.Pod,
		notes: make(chan notice, maxNotes), fenced: map[string]time.Time{},
	}
	if o.PodUID != "" {
		r.own = &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: o.Namespace, Name: o.Pod, UID: o.PodUID}
	}
	return r
}

// leave leaves a note, unless there are too many that nobody takes.
func (r *recorder) leave(n notice) {
	if r == nil {
		return
	}
	select {
	case r.notes <- n:
	default:
	}
}

func (r *recorder) acquired(t lease.Term) {
	if r == nil {
		return
	}
	n := notice{term: t, kind: corev1.EventTypeNormal, reason: reasonAcquired, action: actionAcquire}
	n.text = fmt.Sprintf("acquired %s: %s (epoch %d)", t.Shard, t.How, t.Epoch)
	if from := podIn(t.From); from != "" && from != r.pod {
		n.text = fmt.Sprintf("acquired %s from %s: %s (epoch %d)", t.Shard, from, t.How, t.Epoch)
	}
	r.leave(n)
}

func (r *recorder) passed(p lease.Passed) {
	n := notice{term: p.Term, kind: corev1.EventTypeNormal, reason: reasonReleased, action: actionRelease}
	n.text = fmt.Sprintf("released %s: %s (epoch %d)", p.Term.Shard, p.Cause, p.Term.Epoch)
	if p.Successor != "" {
		n.reason, n.action = reasonHandedOver, actionHandOver
		n.text = fmt.Sprintf("handed %s over to %s: %s (epoch %d)", p.Term.Shard, podIn(p.Successor), p.Cause, p.Term.Epoch)
	}
	r.leave(n)
}

// lost notes a term that is over; one that drains is told of when it has been given away.
func (r *recorder) lost(l lease.Revoked) {
	if l.Graceful {
		return
	}
	r.leave(notice{
		term: l.Term, kind: corev1.EventTypeWarning, reason: reasonLost, action: actionStop,
		text: fmt.Sprintf("lost %s: %s (epoch %d)", l.Term.Shard, l.Cause, l.Term.Epoch),
	})
}

// refused notes that the API server's fence has refused a write of the term for good.
func (r *recorder) refused(t *Term) {
	if r == nil || !r.mayTell(t.Shard(), time.Now()) {
		return
	}
	r.leave(notice{
		term: t.record, kind: corev1.EventTypeWarning, reason: reasonFenced, action: actionWrite,
		text: fmt.Sprintf("wrote as the holder of %s (epoch %d), and the fence in the API server refused it", t.Shard(), t.Epoch()),
	})
}

// mayTell tells whether it is time to say of a shard that its writes are refused.
func (r *recorder) mayTell(shard string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, told := r.fenced[shard]; told && now.Sub(last) < fencedPause {
		return false
	}
	r.fenced[shard] = now
	return true
}

// recordLoop records what is noted. When ctx is done it records what was noted before.
func (r *recorder) recordLoop(ctx context.Context) error {
	for {
		select {
		case n := <-r.notes:
			r.tell(n)
		case <-ctx.Done():
			for len(r.notes) > 0 {
				r.tell(<-r.notes) // nobody else takes any
			}
			return nil
		}
	}
}

func (r *recorder) tell(n notice) {
	about := &corev1.ObjectReference{
		APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease",
		Namespace: r.namespace, Name: lease.ShardLeaseName(r.group, n.term.Shard), UID: n.term.UID,
	}
	r.to.Eventf(about, r.own, n.kind, n.reason, n.action, "%s %s", r.pod, n.text)
}

// podIn is the Pod of a session, or what else holds a Lease.
func podIn(identity string) string {
	id, err := lease.ParseIdentity(identity)
	if err != nil {
		return identity
	}
	return id.Pod
}
