// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// gatherDelay passes before each request that a new question or a changed CRD
	// brought about, so that those who come together (all the types of a group at
	// start) share it. It also bounds the rate: 50 requests per second per
	// group-version, however often CRDs change.
	gatherDelay = 20 * time.Millisecond

	// firstPoll is the pause after such a request; it doubles from there. A CRD is in
	// discovery some milliseconds after it was established.
	firstPoll = 100 * time.Millisecond

	// maxPollWatched is the longest pause while CRDs are watched: then polling
	// only finds what is no CRD, such as aggregated APIs.
	maxPollWatched = 30 * time.Second

	pollJitter = 0.25
)

// probe asks discovery about one group-version, for as long as it has
// subscribers.
type probe struct {
	gv            schema.GroupVersion
	wake          chan struct{}              // holds at most one wake-up
	subscriptions map[*subscription]struct{} // guarded by catalog.mu
}

func newProbe(gv schema.GroupVersion) *probe {
	return &probe{gv: gv, wake: make(chan struct{}, 1), subscriptions: map[*subscription]struct{}{}}
}

func (p *probe) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // one wake-up is as good as two
	}
}

// probeLoop asks until nobody is left to answer to.
func (c *catalog) probeLoop(ctx context.Context, p *probe) {
	delay := firstPoll
	for {
		woken, ok := p.pause(ctx, wait.Jitter(delay, pollJitter))
		if !ok || c.retire(p) {
			return
		}
		list, err := c.discovery.ServerResourcesForGroupVersionWithContext(ctx, p.gv.String())
		c.publish(p, list, err)
		delay = min(2*delay, c.pollCap())
		if woken {
			delay = firstPoll
		}
	}
}

// pause waits for d, or until shortly after a wake-up; ok is false if ctx ended
// first.
func (p *probe) pause(ctx context.Context, d time.Duration) (woken, ok bool) {
	select {
	case <-ctx.Done():
		return false, false
	case <-time.After(d):
		return false, true
	case <-p.wake:
	}
	if !sleep(ctx, gatherDelay) {
		return false, false
	}
	select {
	case <-p.wake: // gathered
	default:
	}
	return true, true
}

// retire drops a probe that nobody waits for.
func (c *catalog) retire(p *probe) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p.subscriptions) > 0 {
		return false
	}
	delete(c.probes, p.gv)
	return true
}

// pollCap is the longest pause between two requests about a group-version.
func (c *catalog) pollCap() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crdsWatched {
		return max(c.maxPoll, maxPollWatched)
	}
	return c.maxPoll
}

// sleep returns true after d, or false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
