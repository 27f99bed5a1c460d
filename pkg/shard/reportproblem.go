// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

// ReportProblem says what is wrong with this replica itself, such as a configuration
// that it cannot take over: `shardctl status` shows it with the member. Nothing is
// decided by it. Empty takes it back. It may be called at any time, by any goroutine;
// what is longer than 200 bytes is cut off.
func (g *Group) ReportProblem(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.problem = shorten(text)
}

// reportedProblem is what there is to report; empty if nothing.
func (g *Group) reportedProblem() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.problem
}
