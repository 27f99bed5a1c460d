// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A shard Lease that lost its annotations names a session that does not hold it any more, and lasts for 34 years by the
// standard rules. That session knows best that nobody holds it.
func TestAnnotationsTakenAway(t *testing.T) {
	s := settled(t, "s1 s2", "a", "b")
	s.Server.Edit(lease.ShardLeaseName(sim.Group, "s1"), func(l *coordinationv1.Lease) { l.Annotations = nil })
	s.Run(2*lease.Default.LeaseDuration + 5*time.Second)
	if a, b := len(s.replica("a").Terms), len(s.replica("b").Terms); a != 1 || b != 1 {
		t.Errorf("held by %s, want one each", s.Holders())
	}
}
