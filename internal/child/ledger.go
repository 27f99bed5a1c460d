// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// entryInterval is the least time between two requests for entries: a program that ends at once each time must
// not become a load on the API server.
const entryInterval = 5 * time.Second

// ledger enters how the program ended. Only the newest end counts.
type ledger struct {
	term   Term
	newest chan string // holds one
	last   string      // that was noted
	cancel context.CancelFunc
	loops  errgroup.Group
}

func openLedger(ctx context.Context, term Term) *ledger {
	ctx, cancel := context.WithCancel(ctx)
	l := &ledger{term: term, newest: make(chan string, 1), cancel: cancel}
	l.loops.Go(func() error { return l.enterLoop(ctx) })
	return l
}

// note has r entered, soon.
func (l *ledger) note(r Record) {
	text, err := r.encode()
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	l.last = text
	select {
	case <-l.newest:
	default:
	}
	l.newest <- text
}

// close leaves the last end for the hand-over, which needs no request.
func (l *ledger) close() {
	l.cancel()
	_ = l.loops.Wait()
	if l.last != "" {
		l.term.Leave(l.last)
	}
}

func (l *ledger) enterLoop(ctx context.Context) error {
	for ctx.Err() == nil { // of two that are ready, select takes any
		select {
		case <-ctx.Done():
		case text := <-l.newest:
			if err := l.term.Enter(ctx, text); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "The end of a program is not on record: status does not show it")
			}
			await(ctx, entryInterval)
		}
	}
	return nil
}
