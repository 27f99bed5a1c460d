// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// madeUp are results with something for each plot and table; no number in them was measured.
func madeUp() results {
	f := figures{out: &strings.Builder{}}
	f.begin(part{name: "assign", heading: "Assign"})
	f.add(figure{Name: "stable_time", Unit: "ms", Value: 2.884}.atMost(50))
	f.add(figure{Name: "join_time", Unit: "ms", Value: 52}.atMost(50))
	f.add(figure{Name: "join_time_to_stable_time", Unit: "times", Value: 1.2})
	f.begin(part{name: "requests", heading: "Requests"})
	for i, who := range contenders() {
		for j, size := range []string{"10_shards_on_3_replicas", "200_shards_on_10_replicas"} {
			f.add(figure{Name: "sum_" + size, Who: who, Unit: "1/s", Value: math.Pow(10, float64(i+j)) / 3})
		}
		f.add(figure{Name: "get_200_shards_10_replicas", Who: who, Unit: "1/s"})
	}
	f.add(figure{Name: "client_go_requests_times_ours_200_10", Who: session, Unit: "times", Value: 99}.atLeast(100))
	f.begin(part{name: "handoff", heading: "Hand-offs"})
	for i, who := range contenders() {
		f.add(figure{Name: "gap_p50", Who: who, Unit: "ms", Value: 10 * float64(i+1)}.atMost(25))
		f.sample("gap", who, "ms", spreadOut(50, float64(i)*0.7))
	}
	f.begin(part{name: "takeover", heading: "Take-overs"})
	for i, who := range contenders() {
		f.add(figure{Name: sinceKill + "_p99", Who: who, Unit: "s", Value: 15 + float64(i)})
		f.sample(sinceKill, who, "s", spreadOut(50, 1+float64(i)*0.1))
	}
	f.sample(sinceReport, session, "s", spreadOut(2000, 0))
	f.begin(part{name: "scaleout", heading: "Scale-out"})
	for _, who := range []contender{session, controllerRuntime} {
		for n := 1; n <= 5; n++ {
			f.add(figure{Name: fmt.Sprintf("scaleout_throughput_%d_replicas", n), Who: who, Unit: "1/s", Value: 500 * math.Pow(float64(n), 0.95)})
		}
	}
	f.begin(part{name: "memory", heading: "Memory"})
	for i, who := range []contender{session, dynamicInformer, ctrlTyped} {
		f.add(figure{Name: "memory_per_object_" + deployments().name, Who: who, Unit: "KB", Value: 2.3 * float64(1+i)})
	}
	f.add(figure{Name: "unmeasured", Value: math.NaN()})
	return results{
		Schema: schemaVersion, run: run{When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123456789abcdef0123-dirty"}, Command: "make bench",
		Versions: map[string]string{"Kubernetes": "v1.36.3", "etcd": "3.6.16", "Go": "1.26.0"},
		Machine:  machine{CPU: "Some CPU", Cores: 2, MemoryGB: 8, System: "Some Linux"}, Parts: f.parts,
	}
}

// spreadOut are values over a decade that begins at ten to the power of the exponent.
func spreadOut(n int, exponent float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Pow(10, exponent+float64(i)/float64(n))
	}
	return values
}

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	want := madeUp()
	tree := t.TempDir()
	if err := want.write(tree); err != nil {
		t.Fatal(err)
	}
	got, err := readResults(filepath.Join(tree, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	last := len(want.Parts) - 1
	unmeasured := len(want.Parts[last].Figures) - 1
	if v := got.Parts[last].Figures[unmeasured].Value; !math.IsNaN(v) {
		t.Errorf("what is not a number is read as %v", v)
	}
	got.Parts[last].Figures[unmeasured].Value, want.Parts[last].Figures[unmeasured].Value = 0, 0 // which is not equal to itself
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

func TestResultsHaveAFigureOnALine(t *testing.T) {
	text, err := madeUp().encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n        { \"name\": \"join_time\", \"unit\": \"ms\", \"value\": 52, \"atMost\": 50, \"missed\": true },\n",
		"\n        { \"name\": \"unmeasured\", \"value\": null }\n",
		"\n          \"values\": [ 1, 1.",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("there is no line %q in\n%s", want, text[:4000])
		}
	}
}

func TestReadResultsRefusesAnotherSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	if err := os.WriteFile(path, []byte(`{"schema": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readResults(path); err == nil || !strings.Contains(err.Error(), "schema 99 is not known") {
		t.Errorf("read it with error %v", err)
	}
}

// What is infinite was not measured, and is a miss before it is stored and after.
func TestInfiniteValuesAreStoredAsMisses(t *testing.T) {
	for _, f := range []figure{
		figure{Name: "ratio", Value: math.Inf(1)}.atLeast(100),
		figure{Name: "time", Value: math.Inf(-1)}.atMost(1),
		figure{Name: "unmeasured", Value: math.NaN()}.atMost(1),
	} {
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var stored figure
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
		if !f.missed() || !stored.missed() || !bytes.Contains(text, []byte(`"missed":true`)) {
			t.Errorf("%s: missed is %v, stored as %s it is %v", f, f.missed(), text, stored.missed())
		}
	}
}

// A part that has failed leaves what was measured before, in a run of everything and in one of some parts.
func TestFailedPartsKeepWhatWasMeasured(t *testing.T) {
	before := madeUp()
	failing := func() results {
		later := madeUp()
		later.When, later.Commit = later.When.Add(time.Hour), "fedcba9876543210"
		later.part("requests").Failed, later.part("requests").Figures = true, nil
		later.part("handoff").Figures = []figure{{Name: "again", Value: 1}}
		return later
	}
	check := func(how string, r results, from *run) {
		t.Helper()
		kept := r.part("requests")
		if kept.Failed || len(kept.Figures) == 0 || !reflect.DeepEqual(kept.Run, from) {
			t.Errorf("%s: what is kept is %+v", how, kept)
		}
		if again := r.part("handoff"); again.Figures[0].Name != "again" {
			t.Errorf("%s: what was measured again is %+v", how, again)
		}
	}
	check("all", failing().keep(before), &before.run)
	merged, err := before.merge(failing())
	if err != nil {
		t.Fatal(err)
	}
	check("some", merged, nil)

	elsewhere := before
	elsewhere.Machine.Cores = 64
	if r := failing().keep(elsewhere); !r.part("requests").Failed {
		t.Errorf("what was measured on another machine is kept: %+v", r.part("requests"))
	}
}

// Parts that are measured again take the place of what they were, and say so; the rest stays.
func TestMerge(t *testing.T) {
	before, later := madeUp(), madeUp()
	later.When, later.Commit = later.When.Add(time.Hour), "fedcba9876543210"
	later.Versions = map[string]string{"Go": "1.26.0", "client-go": "v0.37.2"}
	later.Parts = []measurement{
		{Part: "rollout", Figures: []figure{{Name: "new", Value: 1}}},
		{Part: "assign", Figures: []figure{{Name: "again", Value: 1}}},
	}
	merged, err := before.merge(later)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range merged.Parts {
		order = append(order, m.Part)
	}
	if got, want := strings.Join(order, " "), "assign rollout requests handoff takeover scaleout memory"; got != want {
		t.Errorf("the parts are %s, want %s", got, want)
	}
	again, kept := merged.part("assign"), merged.part("requests")
	if again.Figures[0].Name != "again" || again.Run == nil || !again.Run.When.Equal(later.When) || again.Run.Commit != later.Commit {
		t.Errorf("what was measured again is %+v", again)
	}
	if kept.Run != nil || !merged.When.Equal(before.When) || merged.Versions["client-go"] != "v0.37.2" || merged.Versions["etcd"] != "3.6.16" {
		t.Errorf("the rest is %+v, %+v", kept, merged)
	}
}

func TestMergeRefusesWhatCannotBeCompared(t *testing.T) {
	for name, change := range map[string]func(*results){
		"machine": func(r *results) { r.Machine.Cores = 64 },
		"quick":   func(r *results) { r.Quick = true },
		"version": func(r *results) { r.Versions = map[string]string{"etcd": "4"} },
	} {
		later := madeUp()
		change(&later)
		if _, err := madeUp().merge(later); err == nil {
			t.Errorf("%s: merged all the same", name)
		}
	}
}
