// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// health is what a probe of one replica asks.
type health struct {
	url  string
	ill  atomic.Bool
	asks atomic.Int64
}

func serveHealth(t *testing.T) *health {
	t.Helper()
	h := &health{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.asks.Add(1)
		if h.ill.Load() {
			http.Error(w, "the disk is full", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// gated is a role of the nursery with a probe.
func (n *nursery) gated(h *health) []plainRole {
	r := n.roles[0]
	return []plainRole{{name: r.name, fields: map[string]any{
		"exec": r.fields["exec"],
		"readiness": map[string]any{
			"http": map[string]any{"url": h.url}, "interval": "500ms", "timeout": "500ms", "failureThreshold": 3, "successThreshold": 2,
		},
	}}}
}

// A replica whose probe fails gives the role up once its work has stopped, and gets it only if it is fit again. If none is fit,
// nobody holds it.
func TestOnlyAFitReplicaHoldsARole(t *testing.T) {
	t.Parallel()
	const role = "work"
	n := &nursery{dir: t.TempDir()}
	n.add(t, role, obedient)
	c := newCluster(t)
	d := c.deployPlain(t, n.roles...)
	probes := map[string]*health{}
	for _, pod := range []string{"a", "b", "c"} {
		probes[pod] = serveHealth(t)
		// In a Pod they would all have the same address.
		d.launchConfigured(t, pod, c.plainConfiguration(t, n.gated(probes[pod])...))
	}
	d.await(t, "three replicas and the role to be there", fleet.Spread(1, 3))
	n.awaitAlive(t, 0)
	for pod, h := range probes {
		if h.asks.Load() == 0 {
			t.Errorf("%s was not asked: only the holder is probed", pod)
		}
	}

	// From one to the next, until the last is ill.
	var ill []string
	for len(ill) < len(probes) {
		holder := d.awaitHolder(t, role)
		child := n.awaitAlive(t, uptime())[role]
		probes[holder.Name()].ill.Store(true)
		ill = append(ill, holder.Name())
		d.await(t, "the role to leave "+holder.Name(), heldByOthers(role, ill, len(ill) < len(probes)))
		if end := n.life(t, role, child.pid); !end.obeyed {
			t.Errorf("the work of %s has not ended in order before the role was given away: %+v", holder.Name(), end)
		}
	}
	began := uptime()
	d.awaitHeartbeats(t, 3)
	d.await(t, "nobody to hold the role", heldByOthers(role, ill, false))
	if all := n.lives(t, role); all[len(all)-1].to > began {
		t.Error("the work goes on although nobody is fit")
	}

	again := ill[1]
	probes[again].ill.Store(false)
	d.await(t, "who is fit again to hold the role", fleet.HeldBy(role, again))
	n.awaitAlive(t, uptime())
	if children := n.check(t); children < len(probes)+1 {
		t.Errorf("there were %d children, want one per term", children)
	}
	d.checkUnfitOnRecord(t, role, ill)
}

// heldByOthers holds once none of the Pods holds the role, and somebody else does if that is wanted.
func heldByOthers(role string, pods []string, somebody bool) fleet.Condition {
	return func(s status.Status) error {
		holder, held := fleet.HolderOf(s, role)
		for _, pod := range pods {
			if held && holder == pod {
				return fmt.Errorf("%s holds it", pod)
			}
		}
		if held != somebody {
			return fmt.Errorf("it is held by %q", holder)
		}
		return nil
	}
}

// checkUnfitOnRecord demands that the member Leases say who is not fit.
func (d *deployment) checkUnfitOnRecord(t *testing.T, role string, ill []string) {
	t.Helper()
	eventually(t, "the members say who is not fit", func() error {
		for _, l := range d.leases(t, lease.KindMember) {
			m := lease.DecodeMember(&l)
			pod := status.PodOf(m.Holder)
			unfit := pod == ill[0] || pod == ill[2]
			if (m.Declines[role] == lease.CauseUnfit) != unfit {
				return fmt.Errorf("%s declines %v", pod, m.Declines)
			}
		}
		return nil
	})
	for _, pod := range ill {
		if log := d.log(t, pod); !strings.Contains(log, "the disk is full") && !strings.Contains(log, "503") {
			t.Errorf("the log of %s does not say why it is not fit", pod)
		}
	}
}
