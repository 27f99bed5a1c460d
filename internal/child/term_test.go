// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"sync"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// fakeTerm is a term that the test renews, or does not.
type fakeTerm struct {
	clock lease.Clock

	mu      sync.Mutex
	until   lease.Instant
	entries []string
	last    string
}

// termFor returns a term that is valid for d.
func termFor(d time.Duration) *fakeTerm {
	t := &fakeTerm{clock: lease.BootClock()}
	t.renew(d)
	return t
}

func (t *fakeTerm) Shard() string { return "importer" }
func (t *fakeTerm) Epoch() int32  { return 7 }
func (t *fakeTerm) Token() int64  { return 4711 }

func (t *fakeTerm) Remaining() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until.Sub(t.clock.Now())
}

// renew has the term valid for d from now on, and returns until when that is.
func (t *fakeTerm) renew(d time.Duration) lease.Instant {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = t.clock.Now().Add(d)
	return t.until
}

func (t *fakeTerm) Enter(_ context.Context, text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = append(t.entries, text)
	return nil
}

func (t *fakeTerm) Leave(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = text
}

// entered returns the first entry, if there is one.
func (t *fakeTerm) entered() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 {
		return "", false
	}
	return t.entries[0], true
}

func (t *fakeTerm) left() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}
