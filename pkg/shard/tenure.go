// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// duty is work that comes with a shard. lead returns once nothing of it runs
// any more, soon after the stint is to take no more.
type duty interface {
	lead(*stint)
	of() *service
}

// tenure is one term at work: from its grant until the last reconcile has
// returned.
type tenure struct {
	term *Term
	id   work.Term // among all that this process was granted
	// ctx is that of every reconcile: cancelled when the grace is over, or at
	// once if the term is.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// taking is cancelled before ctx: no more keys are to be taken.
	taking context.Context
	stop   context.CancelCauseFunc

	mu      sync.Mutex
	open    bool      // takes duties
	stopped time.Time // when taking ended; zero before
	grace   *time.Timer
	work    errgroup.Group // the duties

	first   sync.Once
	onFirst func(time.Time) // if set, is told when the first work begins
}

// newTenure starts the clock of a term: the context ends with its validity.
func newTenure(parent context.Context, number uint64, record lease.Term, v *lease.Validity) *tenure {
	term := newTerm(record, v)
	log := klog.FromContext(parent).WithValues("shard", record.Shard, "epoch", record.Epoch)
	ctx, cancel := context.WithCancelCause(context.WithValue(klog.NewContext(parent, log), termKey, term))
	taking, stop := context.WithCancelCause(ctx)
	return &tenure{term: term, id: work.Term{Number: number, Bucket: record.Bucket}, ctx: ctx, cancel: cancel, taking: taking, stop: stop}
}

// begin does the duties of the shard, and from now on takes others.
func (t *tenure) begin(duties []duty, grace time.Duration) {
	t.mu.Lock()
	t.open = true
	t.mu.Unlock()
	for _, d := range duties {
		t.take(d, grace)
	}
}

// take does one more duty, if the tenure has begun and takes any still.
func (t *tenure) take(d duty, grace time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open {
		return
	}
	t.work.Go(func() error {
		d.of().serve(t, grace, d.lead)
		return nil
	})
}

// run returns when the tenure was stopped, the last duty has returned and its writes
// have been answered, and says how long that took since the tenure was stopped.
// For writes it waits until the patience is over, for work without limit: stuck
// is called if that takes longer.
func (t *tenure) run(patience time.Duration, stuck func()) (drained time.Duration) {
	unwatch := t.term.whenOver(func() { t.end(fmt.Errorf("%w: its validity has passed", ErrTermOver)) })
	defer unwatch()
	<-t.taking.Done()
	stopped := time.Now()
	t.mu.Lock()
	t.open, t.stopped = false, stopped
	t.mu.Unlock()
	late := time.AfterFunc(patience, stuck)
	_ = t.work.Wait()
	late.Stop()
	t.term.awaitWrites(patience - time.Since(stopped))
	t.end(context.Cause(t.taking))
	return time.Since(stopped)
}

// overdue tells whether the tenure was stopped longer ago than the patience.
// One that has returned is not asked any more.
func (t *tenure) overdue(patience time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.stopped.IsZero() && time.Since(t.stopped) >= patience
}

// drain stops taking keys, and cancels what still runs once the grace is over.
func (t *tenure) drain(cause error, grace time.Duration) {
	t.stop(cause)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grace = time.AfterFunc(grace, func() { t.cancel(cause) })
}

// end stops and cancels everything at once.
func (t *tenure) end(cause error) {
	t.term.end()
	t.stop(cause)
	t.cancel(cause)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grace != nil {
		t.grace.Stop()
	}
}
