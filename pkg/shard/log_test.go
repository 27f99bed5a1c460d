// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/klog/v2"
)

// logged runs the replica with a log of its own, at the default verbosity, and returns how
// to take what was logged since the last time.
func (m *member) logged() (take func() []string) {
	var mu sync.Mutex
	var all []string
	log := funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, args)
	}, funcr.Options{})
	ctx, leave := context.WithCancel(klog.NewContext(context.Background(), log))
	m.leave = leave
	go func() { m.result <- m.Run(ctx) }()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

// about are the lines that say so, without what is said of the time.
func about(lines []string, messages ...string) []string {
	var all []string
	for _, line := range lines {
		for _, message := range messages {
			if rest, ok := strings.CutPrefix(line, `"level"=0 "msg"="`+message+`" `); ok {
				all = append(all, message+" "+rest)
			}
		}
	}
	return all
}

// startLogged runs a replica that works for one role.
func (c *cluster) startLogged(name string) (*member, func() []string) {
	c.t.Helper()
	m := c.prepare(name)
	if err := m.AddRole(Role{Name: "report", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}); err != nil {
		c.t.Fatal(err)
	}
	return m, m.logged()
}

func TestLogHasNoLinePerRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		a, fromA := c.startLogged("a")
		b, fromB := c.startLogged("b")
		c.eventually(firstStart, "both are ready, and one holds it", func() bool {
			return a.Ready() == nil && b.Ready() == nil && len(a.holds())+len(b.holds()) == 1
		})
		time.Sleep(time.Second)
		fromA()
		fromB()
		time.Sleep(time.Minute) // 120 heartbeats, each seen by both
		if lines := append(fromA(), fromB()...); len(lines) > 0 {
			t.Errorf("a minute in which nothing happens has %d lines: %q", len(lines), lines)
		}
		c.stop(a, b)
	})
}

// One line each, with the shard, the epoch and why: who begins, who stops, and who gives it
// to whom.
func TestLogHasALineForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		cut := c.partition("b")
		changes := []string{"Promoted", "Draining", "Demoted", "Handed over"}
		a, fromA := c.startLogged("a")
		c.eventually(firstStart, "the first holds it", func() bool { return a.holds()["report"] })
		b, fromB := c.startLogged("b")
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		c.stop(a)
		c.eventually(firstStart, "the second holds it", func() bool { return b.holds()["report"] })
		cut.Store(true)
		c.eventually(firstStart, "the second has lost it", func() bool { return len(b.holds()) == 0 })
		cut.Store(false)
		c.eventually(2*firstStart, "the second holds it again", func() bool { return b.holds()["report"] })

		check := func(who string, got []string, want ...[]string) {
			t.Helper()
			if len(got) != len(want) {
				t.Errorf("%s has logged\n%s\nwant %d lines", who, strings.Join(got, "\n"), len(want))
				return
			}
			for i, words := range want {
				if slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(got[i], word) }) {
					t.Errorf("%s has logged %q, want %q", who, got[i], words)
				}
			}
		}
		id := func(pod string) string { return `="` + pod + "_" }
		check("the first", about(fromA(), changes...),
			[]string{"Promoted", `"shard"="report" "epoch"=1`, `"cause"="vacant"`},
			[]string{"Draining", `"shard"="report" "epoch"=1`, `"cause"="leaving"`, `"successor"` + id("b")},
			[]string{"Handed over", `"shard"="report" "epoch"=1`, `"cause"="leaving"`, `"successor"` + id("b")})
		check("the second", about(fromB(), changes...),
			[]string{"Promoted", `"shard"="report" "epoch"=2`, `"cause"="transfer"`, `"identity"` + id("b")},
			[]string{"Demoted", `"shard"="report" "epoch"=2`, `"cause"="lapsed"`},
			[]string{"Promoted", `"shard"="report" "epoch"=3`, `"cause"="reclaim"`, `"identity"` + id("b")})
		c.stop(b)
	})
}
