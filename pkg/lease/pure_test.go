// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

// machines are the files that may neither wait nor look at anything but their
// arguments.
var machines = []string{
	"attempt.go", "bucket.go", "claim.go", "election.go", "event.go", "family.go", "identity.go", "layout.go", "ledger.go", "mode.go", "peer.go", "plan.go", "pods.go", "record.go", "renewal.go",
	"session.go", "timings.go", "view.go",
}

// TestMachinesArePure checks the source: no clock, no chance, no goroutine, no
// channel, no lock, no input or output.
func TestMachinesArePure(t *testing.T) {
	imports := []string{
		"cmp", "encoding/json", "errors", "fmt", "hash/fnv", "maps", "math", "slices", "strconv", "strings", "time",
		"k8s.io/api/coordination/v1", "k8s.io/api/core/v1", "k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/types",
		"k8s.io/apimachinery/pkg/util/validation", "k8s.io/apimachinery/pkg/util/validation/field", "k8s.io/utils/ptr",
	}
	clock := []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
	for _, name := range machines {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err != nil || !slices.Contains(imports, path) {
				t.Errorf("%s imports %s", name, spec.Path.Value)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
				t.Errorf("%s: %T", fset.Position(n.Pos()), n)
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%s: time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestSameEventsSameEffects feeds what the replicas of some histories learned to
// fresh machines: they decide the same, and nobody has changed a Lease that was
// handed out.
func TestSameEventsSameEffects(t *testing.T) {
	for seed := range uint64(10) {
		h := sim.NewHistory(1000 + seed)
		steps := map[*sim.Replica][]step{}
		h.World.Recorded = func(r *sim.Replica, now lease.Instant, events []lease.Event, effects []lease.Effect) {
			steps[r] = append(steps[r], step{now, events, encodedEffects(t, effects)})
		}
		var states []string
		show := h.World.Server.Changed
		h.World.Server.Changed = func() {
			states = append(states, encoded(t, newest(h.World.Server.History()).After))
			show()
		}
		if violation := h.Run(); violation != nil {
			t.Fatalf("seed %d: %s", seed, violation)
		}
		for i, state := range states {
			if now := encoded(t, h.World.Server.History()[i+1].After); now != state {
				t.Fatalf("seed %d: a Lease was changed in place, from\n%s to\n%s", seed, state, now)
			}
		}
		for _, r := range h.World.Replicas {
			again, err := lease.NewElection(r.Config)
			if err != nil {
				t.Fatal(err)
			}
			for i, step := range steps[r] {
				if got := encodedEffects(t, again.Step(step.at, step.events...)); got != step.effects {
					t.Fatalf("seed %d: step %d of %s, %v: got\n%s, at first it was\n%s", seed, i, r.Name, step.events, got, step.effects)
				}
			}
		}
	}
}

func newest(history []sim.Change) sim.Change { return history[len(history)-1] }

// step is what a replica once did.
type step struct {
	at      lease.Instant
	events  []lease.Event
	effects string
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func encodedEffects(t *testing.T, effects []lease.Effect) string {
	t.Helper()
	var s string
	for _, effect := range effects {
		s += fmt.Sprintf("%T", effect) + encoded(t, effect) + "\n"
	}
	return s
}
