// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/status"
)

// heartbeats are so many that something would have moved if anything wanted to.
const heartbeats = 5

// awaitHeartbeats waits until every live member has renewed its session so often, each of which is a reason to look at the shares.
func (s *suite) awaitHeartbeats(t *testing.T, n int) {
	t.Helper()
	last, count := map[string]time.Time{}, map[string]int{}
	s.await(t, fmt.Sprintf("every member has sent %d heartbeats", n), func(now status.Status) error {
		for _, m := range now.Members {
			if m.State != status.Live {
				continue
			}
			if m.Renewed.After(last[m.Identity]) {
				last[m.Identity] = m.Renewed
				count[m.Identity]++
			}
		}
		for identity, beats := range count {
			if beats <= n { // the first was there before
				return fmt.Errorf("%s has sent %d", identity, beats-1)
			}
		}
		return nil
	})
}

// awaitJoined waits until a Pod has a live member that is another than before.
func (s *suite) awaitJoined(t *testing.T, pod, before string) {
	t.Helper()
	eventually(t, pod+" has joined again", func(ctx context.Context) error {
		now, err := s.status(ctx)
		if err != nil {
			return err
		}
		if is := sessionOf(now, pod); is == "" || is == before {
			return fmt.Errorf("its session is %q, and was %q; the status is\n%s", is, before, table(now))
		}
		return nil
	})
}

// sessionOf is the identity of a Pod's live session; empty if it has none.
func sessionOf(now status.Status, pod string) string {
	for _, m := range now.Members {
		if m.Pod == pod && m.State == status.Live {
			return m.Identity
		}
	}
	return ""
}
