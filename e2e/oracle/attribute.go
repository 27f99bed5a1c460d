// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Evidence is by what a write's writer is known.
type Evidence int

// The kinds of evidence, from none to the best.
const (
	Nobody    Evidence = iota // nothing tells who wrote
	ByOwnWord                 // the object says so itself
	ByRequest                 // nobody else had a request of this object that may have been carried out
	ByAudit                   // the answer in the audit log
)

// String is for people.
func (e Evidence) String() string {
	return [...]string{"by nobody", "by its own word", "by request", "by the audit log"}[e]
}

// Write is an event and who made it.
type Write struct {
	Event
	Writer   Writer
	Evidence Evidence
}

// History is everything that was written and refused, oldest first.
type History struct {
	Writes   []Write
	Refusals []Refusal
}

const (
	// auditDelay is how long one waits for the audit entry of a write, which comes when the request is over.
	auditDelay = 3 * time.Second
	auditPoll  = 50 * time.Millisecond
	// clockSlack is how far apart the recorder's sight of an event and the audit log's times may be.
	clockSlack = 2 * time.Second
	// commitSlack is how much later than its answer, which was that nobody knows, a request may be seen to have been carried
	// out: the API server does not wait for etcd then, and a busy machine shows it late.
	commitSlack = 10 * time.Second
)

// Attribute returns what has happened up to a revision, once the recorder has seen it and the audit logs tell the writer of
// each event, or will not: it waits for at most 3 s after the events.
func Attribute(ctx context.Context, r *Recorder, a *Audit, to int64) (History, error) {
	if err := r.WaitFor(ctx, to); err != nil {
		return History{}, err
	}
	events := r.Events()
	events = events[:sort.Search(len(events), func(i int) bool { return events[i].Revision > to })]
	tick := time.NewTicker(auditPoll)
	defer tick.Stop()
	for {
		if err := a.Read(); err != nil {
			return History{}, fmt.Errorf("oracle: %w", err)
		}
		if !a.awaits(events, time.Now().Add(-auditDelay)) {
			return a.attribute(events), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return History{}, fmt.Errorf("oracle: wait for the audit log: %w", context.Cause(ctx))
		}
	}
}

// awaits says whether the entry of an event since then is missing.
func (a *Audit) awaits(events []Event, since time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range slices.Backward(events) {
		if e.At.Before(since) {
			return false
		}
		if len(a.answers(e)) == 0 {
			return true
		}
	}
	return false
}

// attribute says of each event who made it.
func (a *Audit) attribute(events []Event) History {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := History{Writes: make([]Write, 0, len(events)), Refusals: slices.Clone(a.refused)}
	slices.SortStableFunc(h.Refusals, func(a, b Refusal) int { return a.At.Compare(b.At) })
	for _, e := range events {
		writer, evidence := a.writerOf(e)
		h.Writes = append(h.Writes, Write{Event: e, Writer: writer, Evidence: evidence})
	}
	return h
}

func (a *Audit) answers(e Event) []Writer {
	if e.Deleted {
		return a.deleted[e.Object.UID]
	}
	return a.stored[version{e.Object.UID, e.Revision}]
}

// writerOf weighs the evidence. Several may have got the same version as their answer, since an update that changes nothing gets
// the one there is: then the object's own word decides, or else who was answered first.
func (a *Audit) writerOf(e Event) (Writer, Evidence) {
	answers := a.answers(e)
	if i := slices.IndexFunc(answers, func(w Writer) bool { return e.markIsNew() && w.Pod == e.Object.Mark.Writer }); i >= 0 {
		return answers[i], ByAudit
	}
	if len(answers) > 0 {
		return answers[0], ByAudit
	}
	if e.markIsNew() {
		return e.Object.Mark.writer(), ByOwnWord
	}
	if writer, ok := a.onlySuspect(e); ok {
		return writer, ByRequest
	}
	if e.markIsKept() {
		return e.Object.Mark.writer(), ByOwnWord
	}
	return Writer{}, Nobody
}

// onlySuspect is the one writer whose request may have been carried out then, if there is one and no second.
func (a *Audit) onlySuspect(e Event) (only Writer, ok bool) {
	for _, r := range a.doubted[e.Key] {
		if !r.explains(e) {
			continue
		}
		if ok && r.writer != only {
			return Writer{}, false
		}
		only, ok = r.writer, true
	}
	return only, ok
}

// explains says whether the event may be what the request did. Nothing is deleted by an update but what waits for its finalizers.
func (r request) explains(e Event) bool {
	early := e.At.Add(clockSlack).Before(r.from)
	late := !r.until.IsZero() && e.At.After(r.until.Add(commitSlack))
	return !early && !late && (r.deletes == e.Deleted || e.Deleted && e.Object.deleting)
}
