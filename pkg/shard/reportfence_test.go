// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestMemberLeaseTellsTheFenceThatIsCalledFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a := c.prepare("a")
		if err := a.Add(Controller{Resource: widgets, Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil }}); err != nil {
			t.Fatal(err)
		}
		a.ReportFence("early")
		a.run()
		says := func(want string) {
			t.Helper()
			c.eventually(firstStart, "the member Lease says "+want[:5], func() bool {
				l := c.leases.Lease("g.member-" + a.driverBoot() + ".main")
				return l != nil && lease.DecodeMember(l).Fence == want
			})
		}
		says("early")
		a.ReportFence("later")
		says("later")
		a.ReportFence("")
		a.ReportFence(strings.Repeat("x", 300<<10)) // no API server would accept that
		says(strings.Repeat("x", maxDigest))
		time.Sleep(time.Minute)
		says(strings.Repeat("x", maxDigest))
		c.stop(a)
	})
}
