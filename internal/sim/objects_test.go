// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestObjectsAreSwappedOnlyAsTheyWereRead(t *testing.T) {
	s := newObjects("things")
	s.commit(object{key: "a", generation: 1, finalizer: true})
	read := s.current["a"]
	status := read
	status.observed = 1
	deleted := read
	deleted.deleting = true
	for _, step := range []struct {
		name string
		do   func() lease.Outcome
		want lease.Outcome
	}{
		{"a status", func() lease.Outcome { o, _ := s.swap(status); return o }, lease.OK},
		{"the same again", func() lease.Outcome { o, _ := s.swap(status); return o }, lease.Conflict},
		{"from before the status", func() lease.Outcome { o, _ := s.swap(deleted); return o }, lease.Conflict},
		{"the last finalizer", func() lease.Outcome {
			o := s.current["a"]
			o.deleting, o.finalizer = true, false
			outcome, _ := s.swap(o)
			return outcome
		}, lease.OK},
		{"what is gone", func() lease.Outcome { o, _ := s.swap(status); return o }, lease.NotFound},
	} {
		if got := step.do(); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if len(s.at(3)) != 1 || s.at(3)["a"].observed != 1 || len(s.at(4)) != 0 {
		t.Errorf("lists show %v and %v, want the status, then nothing", s.at(3), s.at(4))
	}
}

// calm is a group with one shard, whose objects nobody touches by chance.
func calm(replicas ...string) (*World, *objects) {
	w := New(1, quick[0], "s1")
	w.InstallLayout()
	w.populate(time.Second)
	for _, name := range replicas {
		w.Start(name)
	}
	w.Run(10 * time.Second)
	return w, w.objects[0]
}

func TestAHolderReconcilesWhatChanges(t *testing.T) {
	w, of := calm("a", "b")
	for _, o := range []object{
		{key: "new", generation: 1},
		{key: "going", generation: 1, finalizer: true, deleting: true},
	} {
		of.commit(o)
		of.goal[o.key] = of.rv()
	}
	w.reconciled()
	if w.Checks.Violation != nil {
		t.Fatal(w.Checks.Violation)
	}
	if _, there := of.current["going"]; there || of.current["new"].observed != 1 {
		t.Errorf("the objects are %v, want the new one observed and the other one gone", of.current)
	}
}

func TestWorkThatIsLostIsFound(t *testing.T) {
	w, of := calm("a")
	w.Replicas[0].controllers["s1"].in.stalled = time.Hour
	of.commit(object{key: "new", generation: 1})
	of.goal["new"] = of.rv()
	w.reconciled()
	if v := w.Checks.Violation; v == nil || v.Kind != "lost work" || !strings.Contains(v.What, "new") {
		t.Errorf("the violation is %v, want that the object was not reconciled", v)
	}
}

// TestHistoriesCheckTheWork: every history ends with the check of G4.
func TestHistoriesCheckTheWork(t *testing.T) {
	h := NewHistory(1)
	if h.user == nil {
		t.Fatal("the history has no objects")
	}
	h.World.objects[0].goal["never made"] = 1
	if v := h.Run(); v == nil || v.Kind != "lost work" {
		t.Errorf("the violation is %v, want the object that nobody has reconciled", v)
	}
}

func TestAHandOverWaitsForTheReconcile(t *testing.T) {
	w, of := calm("a", "b")
	holder := w.Holder("s1")
	of.commit(object{key: "new", generation: 1})
	c := holder.controllers["s1"]
	if !w.Until(time.Second, func() bool { return len(c.running) > 0 }) {
		t.Fatal("nothing is reconciled")
	}
	holder.Deliver(lease.Leave{})
	if !w.Until(5*time.Second, func() bool { return holder.Gone }) {
		t.Fatal("the holder has not left")
	}
	w.Run(time.Second)
	if w.Checks.Violation != nil || len(c.running) > 0 || !holder.Left {
		t.Errorf("it left with %d reconciles running; violation: %v", len(c.running), w.Checks.Violation)
	}
}
