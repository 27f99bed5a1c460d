// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import "time"

// wasBusy notes that a worker was, for a shard; c.mu is held.
func (c *controller) wasBusy(shard string, took time.Duration) { c.busy[shard] += took }

// takeBusy is for how long workers were busy with each shard since the last call,
// all workers of the controller together. A reconcile counts when it returns.
func (c *controller) takeBusy() map[string]time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.busy
	c.busy = map[string]time.Duration{}
	return taken
}
