// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestShardOfKnativeLease(t *testing.T) {
	if got := shardOfKnativeLease("controller.shard-7.00-of-01"); got != "shard-7" {
		t.Errorf("got %q", got)
	}
}

// Work that is slow to stop goes on after the demotion, and what is promoted meanwhile waits for it.
func TestPromotedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, noted := newTestReplica(t)
		r.stopTakes = time.Second
		p := newPromoted(r, "1")
		p.demote() // an elector that was never elected
		for range 2 {
			p.promote(t.Context())
			synctest.Wait()
			p.demote()
		}
		if got := noted(); !slices.Equal(got, []string{"started 1"}) {
			t.Errorf("%v was noted before the first work has stopped", got)
		}
		p.work.working.Wait()
		if got := noted(); !slices.Equal(got, []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted; the second work was demoted before it could begin", got)
		}
		p.promote(t.Context())
		synctest.Wait()
		p.demote()
		p.work.working.Wait()
		if got := noted(); !slices.Equal(got[2:], []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted, want another term", got)
		}
	})
}

// The work queue is shut when the process is told to end, before the Lease is released: idle work does not wait for the demotion.
func TestPromotedWorkEndsWithTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, noted := newTestReplica(t)
		p := newPromoted(r, "1")
		running, terminate := context.WithCancel(t.Context())
		p.promote(running)
		synctest.Wait()
		terminate()
		p.work.finish()
		p.promote(t.Context()) // an elector's goroutine that comes late
		synctest.Wait()
		if got := noted(); !slices.Equal(got, []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted, want one term, which nobody has demoted", got)
		}
	})
}
