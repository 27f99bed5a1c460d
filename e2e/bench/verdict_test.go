// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// kept are parts with all that was promised, and nothing else.
func kept() []measurement {
	var all []measurement
	for _, name := range names(parts()) {
		m := measurement{Part: name}
		for _, p := range promises() {
			if p.part == name {
				m.Figures = append(m.Figures, p.figure().atMost(1))
			}
		}
		all = append(all, m)
	}
	return all
}

func TestJudgeAllMet(t *testing.T) {
	j := judge(names(parts()), kept())
	if err := j.err(); err != nil || j.markdown() != "All 13 targets were met." {
		t.Errorf("error %v, page %q", err, j.markdown())
	}
}

func TestJudgeListsMissedTargets(t *testing.T) {
	fine := []figure{{Name: "untargeted", Value: 1e9}, figure{Name: "most", Value: 2}.atMost(2), figure{Name: "least", Value: 2}.atLeast(2)}
	bad := []figure{
		figure{Name: "slow", Who: session, Unit: "ms", Value: 2.5}.atMost(2),
		figure{Name: "few", Value: 1}.atLeast(2),
		figure{Name: "unmeasured", Value: math.NaN()}.atMost(2),
		figure{Name: "ratio_to_nothing", Value: math.Inf(1)}.atLeast(2),
	}
	j := judge([]string{"assign", "rollout"}, []measurement{{Part: "assign", Figures: fine}, {Part: "rollout", Figures: bad}})
	want := `4 of 6 targets are missed:
  rollout: slow (shardctl): 2.5 ms, want at most 2
  rollout: few: 1, want at least 2
  rollout: unmeasured: NaN, want at most 2
  rollout: ratio_to_nothing: +Inf, want at least 2`
	if err := j.err(); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	want = `4 of 6 targets were missed:

- rollout: shardctl, slow: 2.5 ms, not at most 2
- rollout: few: 1, not at least 2
- rollout: unmeasured: NaN, not at most 2
- rollout: ratio to nothing: +Inf, not at least 2`
	if got := j.markdown(); got != want {
		t.Errorf("the page has %s, want %s", got, want)
	}
}

// A promise is not kept by leaving it out, nor by a figure without a target.
func TestJudgeMissesWhatWasPromised(t *testing.T) {
	measured := kept()
	for i, m := range measured {
		switch m.Part {
		case "scaleout":
			measured[i].Figures = nil
		case "memory":
			measured[i].Figures[0].target = target{}
		}
	}
	want := `2 of 13 targets are missed:
  scaleout: scaleout_5_replicas (shardctl): not measured
  memory: dynamic_times_ours_deployments: not measured`
	j := judge(names(parts()), measured)
	if err := j.err(); err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if page := j.markdown(); !strings.Contains(page, "2 of 13 targets were missed") || !strings.Contains(page, "shardctl, throughput of 5 replicas") {
		t.Errorf("the page has %s", page)
	}
}

// Nothing is said to be met of parts that are not there or have failed.
func TestJudgeNamesWhatWasNotMeasured(t *testing.T) {
	measured := slices.DeleteFunc(kept(), func(m measurement) bool { return m.Part == "spread" })
	measured[len(measured)-1].Failed = true // start: nothing is promised of either
	j := judge(names(parts()), measured)
	said := "Not measured: spread. Not measured to the end: start."
	if err := j.err(); err == nil || err.Error() != said {
		t.Errorf("the error is %v", err)
	}
	if want := said + "\n\nThe 13 targets of what was measured were met."; j.markdown() != want {
		t.Errorf("the page has %q, want %q", j.markdown(), want)
	}
}

// With --only nothing is asked of the other parts.
func TestVerdictIsOfTheRun(t *testing.T) {
	if err := verdict([]measurement{{Part: "assign"}}); err != nil {
		t.Errorf("the error is %v", err)
	}
}
