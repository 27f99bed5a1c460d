// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// TestMain makes this binary the program whose processes the parts start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && commands()[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// The whole program goes through all parts on a real control plane, and writes what it is to write. What it measures in such a
// hurry means nothing.
func TestQuick(t *testing.T) {
	tree := t.TempDir()
	if err := runBench(t.Context(), []string{"--quick", "--out", tree}); err != nil {
		t.Fatal(err)
	}
	r, err := readResults(filepath.Join(tree, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Quick || r.Versions["Kubernetes"] == "" || r.Versions["client-go"] == "" || r.Machine.Cores == 0 {
		t.Errorf("the results do not say what they are of: %+v", r)
	}
	for _, name := range names(parts()) {
		if m := r.part(name); m == nil {
			t.Errorf("%s has not been measured", name)
		} else {
			checkPart(t, *m)
		}
	}
	checkRequests(t, r.part("requests"))
	for _, c := range charts() {
		if _, err := os.Stat(filepath.Join(tree, plotFile(c.name))); err != nil {
			t.Errorf("no plot: %v", err)
		}
	}
}

// about are those that the parts compare: each has figures of all of them.
func about() map[string][]contender {
	var caches []contender
	for _, kind := range cacheKinds() {
		caches = append(caches, kind.who)
	}
	return map[string][]contender{
		"requests":   contenders(),
		"spread":     {session, clientGo, knative, controllerRuntime},
		"handoff":    contenders(),
		"takeover":   contenders(),
		"overlap":    slowStop.contenders(),
		"throughput": {session, controllerRuntime, knative},
		"latency":    {session, controllerRuntime, knative},
		"scaleout":   {session, controllerRuntime},
		"memory":     caches,
		"rest":       contenders(),
		"start":      {session, knative, controllerRuntime, ctrlUnstructured},
	}
}

func checkPart(t *testing.T, m measurement) {
	t.Helper()
	t.Logf("%s took %.0f s", m.Part, m.Seconds)
	if m.Failed || len(m.Figures) == 0 {
		t.Errorf("%s: failed is %v, with %d figures", m.Part, m.Failed, len(m.Figures))
	}
	seen, whose := map[figure]bool{}, map[contender]bool{}
	for _, f := range m.Figures {
		same := figure{Name: f.Name, Who: f.Who, Unit: f.Unit}
		if seen[same] {
			t.Errorf("%s has two figures %s", m.Part, f.label())
		}
		if !f.finite() {
			t.Errorf("%s: %s has no value", m.Part, f.label())
		}
		seen[same], whose[f.Who] = true, true
	}
	for _, who := range about()[m.Part] {
		if !whose[who] {
			t.Errorf("%s has no figures of %s", m.Part, who)
		}
	}
}

// checkRequests needs no time to be right: client-go's electors poll, and ours send a heartbeat per replica.
func checkRequests(t *testing.T, m *measurement) {
	t.Helper()
	if m == nil {
		return // which was said
	}
	_, rates := requestRates(*m)
	for size, theirs := range rates[clientGo] {
		if ours := rates[session][size]; theirs <= 0 || theirs < ours {
			t.Errorf("%s: client-go sends %v requests per second, shardctl %v", size, theirs, ours)
		}
	}
	if len(rates[clientGo]) == 0 {
		t.Error("nothing was counted of client-go's requests")
	}
}

// What a part has left running, as one does that fails, is not measured with the next.
func TestPartsEndWithTheirGroups(t *testing.T) {
	b := &bench{figures: figures{out: &strings.Builder{}, quick: true}, progress: &strings.Builder{}}
	var left *fleet.Replica
	err := b.measure(t.Context(), []part{
		{"first", "", func(ctx context.Context, b *bench) error {
			g, err := b.install(ctx, "left-over", 1)
			if err != nil {
				return err
			}
			if left, err = g.launch(ctx, "left-over-0", session.args()...); err != nil {
				return err
			}
			return errors.New("no luck")
		}},
		{"second", "", func(context.Context, *bench) error {
			if left == nil || left.Running() {
				return errors.New("the replica of the first runs")
			}
			return nil
		}},
	})
	if err == nil || err.Error() != "first: no luck" {
		t.Errorf("the error is %v", err)
	}
}
