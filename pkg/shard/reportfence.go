// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

// maxDigest is as much of a digest as the others read.
const maxDigest = 1 << 10

// ReportFence has the replica's next heartbeat say which fence in the API server its
// configuration calls for, by the digest that fence.Fence has: `shardctl status`
// compares that with what is installed. Nothing is decided by it. It may be called at
// any time, by any goroutine. What is longer than 1 KiB is cut off, and an empty digest
// leaves things as they are.
func (g *Group) ReportFence(digest string) {
	if digest == "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fence = digest[:min(len(digest), maxDigest)]
}

// reportedFence is the digest that there is to report; empty if there is none.
func (g *Group) reportedFence() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fence
}
