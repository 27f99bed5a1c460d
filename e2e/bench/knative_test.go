// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
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
		p.demote(nil) // an elector that was never elected
		for range 2 {
			if err := p.promote(nil, nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p.demote(nil)
		}
		if got := noted(); !slices.Equal(got, []string{"started 1"}) {
			t.Errorf("%v was noted before the first work has stopped", got)
		}
		p.working.Wait()
		if got := noted(); !slices.Equal(got, []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted; the second work was demoted before it could begin", got)
		}
		if err := p.promote(nil, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.demote(nil)
		p.working.Wait()
		if got := noted(); !slices.Equal(got[2:], []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted, want another term", got)
		}
	})
}
