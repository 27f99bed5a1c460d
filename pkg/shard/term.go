// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"sync"
	"time"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// Term is one holding of one shard by this replica. Every reconcile and every
// role's run gets its own in its context; see [TermFrom].
type Term struct {
	record   lease.Term
	validity *lease.Validity
	began    time.Time // here
	// life ends with the term; its validity may end before.
	life context.Context
	end  context.CancelFunc
	// closing ends when somebody waits for the writes, so that the shard can go.
	closing context.Context
	close   context.CancelFunc

	enter enterFunc // nil outside of a group

	mu     sync.Mutex
	writes work.Writes
	quiet  chan struct{} // closed with the last answer, once somebody waits for it
	last   *string       // what Leave was given, if nothing was entered since
	left   int           // how often it was called
}

func newTerm(record lease.Term, v *lease.Validity) *Term {
	life, end := context.WithCancel(context.Background())
	closing, closed := context.WithCancel(life)
	return &Term{record: record, validity: v, began: time.Now(), life: life, end: end, closing: closing, close: closed}
}

// Shard is the shard's name.
func (t *Term) Shard() string { return t.record.Shard }

// Identity is the session of this replica that holds the shard.
func (t *Term) Identity() string { return t.record.Identity }

// Epoch counts the changes of holder of this shard's Lease.
func (t *Term) Epoch() int32 { return t.record.Epoch }

// Token is the fencing token to hand on to other systems: it rises with every
// term, also when the Lease was deleted and made again.
func (t *Term) Token() int64 { return t.record.Token }

// Valid tells whether the term may be acted on at this instant.
func (t *Term) Valid() bool { return t.Remaining() > 0 }

// Remaining is how long the term is still valid, unless it is renewed before:
// zero or less once it is over. It is not the context's deadline, because a
// context derived with a time-out of its own would take over a deadline that
// moves as if it stood still; the context is cancelled when the validity ends.
func (t *Term) Remaining() time.Duration {
	if t.life.Err() != nil {
		return 0
	}
	return t.validity.Remaining()
}

// whenOver calls then, once, when the term is no longer valid, however often
// that is extended before; unless stopped.
func (t *Term) whenOver(then func()) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped := false
	check := func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		if left := t.Remaining(); left > 0 {
			timer.Reset(left)
			return
		}
		stopped = true
		then()
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(max(0, t.Remaining()), check)
	forget := context.AfterFunc(t.life, check)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
		forget()
	}
}

// noteWrite remembers the resourceVersion that a write got.
func (t *Term) noteWrite(resource, resourceVersion string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes.Wrote(resource, resourceVersion)
}

// wrote returns, per resource type, the newest resourceVersion written.
func (t *Term) wrote() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes.Newest()
}

// sending counts a write that is about to be sent; false if it must not be,
// because all work of the term has ended.
func (t *Term) sending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.writes.Send()
}

// answered counts a write whose outcome is known, or will not be waited for any
// longer.
func (t *Term) answered() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes.Answered()
	if t.quiet != nil && t.writes.Settled() {
		close(t.quiet)
		t.quiet = nil
	}
}

// awaitWrites refuses further writes and waits, no longer than the patience,
// until the outcome of all that were sent is known (R13).
func (t *Term) awaitWrites(patience time.Duration) {
	t.close()
	t.mu.Lock()
	t.writes.Close()
	if t.writes.Settled() {
		t.mu.Unlock()
		return
	}
	quiet := make(chan struct{})
	t.quiet = quiet
	t.mu.Unlock()
	select {
	case <-quiet:
	case <-time.After(patience):
	}
}

type contextKey int

const (
	termKey contextKey = iota
	unfencedKey
)

// TermFrom returns the term that a context was made for.
func TermFrom(ctx context.Context) (*Term, bool) {
	t, ok := ctx.Value(termKey).(*Term)
	return t, ok
}

// Unfenced marks a context for writes that belong to no shard, such as those
// of a program's own set-up. They are sent whoever holds what; the reason is
// for whoever reads the code. In the context of a term the mark counts for
// nothing.
func Unfenced(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, unfencedKey, reason)
}
