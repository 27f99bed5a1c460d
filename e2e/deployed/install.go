// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// testInstall follows the documentation: the group, then, since its types are custom resources, the fence.
func (s *suite) testInstall(t *testing.T) {
	if err := s.apply(t.Context(), s.manifests.group...); err != nil {
		t.Fatal(err)
	}
	s.awaitPods(t, replicas)
	s.await(t, "every shard is held", fleet.Held(s.shards))
	eventually(t, "the types are served", s.createObjects)
	s.load.start(context.WithoutCancel(t.Context())) // beyond this test; the history's test stops it
	s.expectWork(t)

	if err := s.apply(t.Context(), s.manifests.fence...); err != nil {
		t.Fatal(err)
	}
	outsider := s.tokenOf(t, nil)
	eventually(t, "the API server goes by the fence", func(ctx context.Context) error {
		for _, o := range s.types {
			if err := outsider.try(ctx, o, still); !isRefusal(err) {
				return fmt.Errorf("a replica's write of %s with a token that is bound to no Pod got %w, not the fence's refusal", o.Resource, orOK(err))
			}
		}
		return nil
	})
	s.expectWork(t)
}

// testSpread has nothing happen.
func (s *suite) testSpread(t *testing.T) {
	now := s.awaitShared(t, replicas)
	t.Logf("the status is\n%s", table(now))
	moved := s.during(t, func() {
		s.awaitHeartbeats(t, heartbeats)
		s.expectWork(t)
	})
	for _, c := range moved {
		t.Errorf("a shard changed hands although the shares were even: %s", c)
	}
}
