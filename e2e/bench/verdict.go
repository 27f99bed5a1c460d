// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// promise is a figure that a run was made for: it has to be there, with a target.
type promise struct {
	part, name string
	who        contender
}

// promises are what this project has set out to reach. Other figures have targets, too; these cannot be met by not being measured.
func promises() []promise {
	all := []promise{
		{"requests", "client_go_requests_times_ours_200_10", session},
		{"requests", "client_go_requests_times_ours_200_10", leaseMode},
		{"handoff", "client_go_gap_p50_times_ours", session},
		{"handoff", handOffGap + "_p99", session},
	}
	for _, who := range []contender{session, leaseMode} {
		all = append(all, promise{"takeover", sinceRenewal + "_p99", who}, promise{"takeover", sinceReport + "_p99", who})
	}
	for _, workers := range []int{1, 4, 16} {
		all = append(all, promise{"throughput", fmt.Sprintf("empty_reconciles_%d_workers_times_controller_runtime", workers), ""})
	}
	return append(all,
		promise{"scaleout", fmt.Sprintf("scaleout_%d_replicas", scaleReplicas), session},
		promise{"memory", "dynamic_times_ours_" + deployments().name, ""})
}

func (p promise) figure() figure { return figure{Name: p.name, Who: p.who} }

// keptBy tells whether a figure is the promised one.
func (p promise) keptBy(f figure) bool {
	return f.Name == p.name && f.Who == p.who && f.target.bound != ""
}

// miss is a figure that misses its target.
type miss struct {
	part string
	figure
}

// judgement is what has become of the targets, and of what there was to measure.
type judgement struct {
	// targets is how many there are, with those of promised figures that are not there.
	targets int
	missed  []miss
	// absent figures were promised, and are not there; that misses their targets.
	absent []promise
	// unmeasured parts are not there; failed ones may have some of their figures.
	unmeasured, failed []string
}

// judge goes through the parts that were to be measured.
func judge(asked []string, measured []measurement) judgement {
	var j judgement
	for _, name := range asked {
		i := slices.IndexFunc(measured, func(m measurement) bool { return m.Part == name })
		switch {
		case i < 0:
			j.unmeasured = append(j.unmeasured, name)
			j.judgeFigures(measurement{Part: name})
		case measured[i].Failed:
			j.failed = append(j.failed, name)
			j.judgeFigures(measured[i])
		default:
			j.judgeFigures(measured[i])
		}
	}
	return j
}

func (j *judgement) judgeFigures(m measurement) {
	for _, f := range m.Figures {
		if f.target.bound != "" {
			j.targets++
		}
		if f.missed() {
			j.missed = append(j.missed, miss{m.Part, f})
		}
	}
	for _, p := range promises() {
		if p.part == m.Part && !slices.ContainsFunc(m.Figures, p.keptBy) {
			j.targets++
			j.absent = append(j.absent, p)
		}
	}
}

// gaps names the parts that are not there, or not all of them; empty if there are none.
func (j judgement) gaps() string {
	var said []string
	if j.unmeasured != nil {
		said = append(said, "Not measured: "+strings.Join(j.unmeasured, ", ")+".")
	}
	if j.failed != nil {
		said = append(said, "Not measured to the end: "+strings.Join(j.failed, ", ")+".")
	}
	return strings.Join(said, " ")
}

// verdict is an error that lists what misses of the parts of a run, for whoever has started it. Every part that the run has come
// to is there, also one that has failed.
func verdict(run []measurement) error {
	var asked []string
	for _, m := range run {
		asked = append(asked, m.Part)
	}
	return judge(asked, run).err()
}

func (j judgement) err() error {
	var lines []string
	for _, m := range j.missed {
		lines = append(lines, fmt.Sprintf("  %s: %s, want %s", m.part, m.figure, m.target))
	}
	for _, p := range j.absent {
		lines = append(lines, fmt.Sprintf("  %s: %s: not measured", p.part, p.figure().label()))
	}
	var errs []error
	if gaps := j.gaps(); gaps != "" {
		errs = append(errs, errors.New(gaps))
	}
	if lines != nil {
		errs = append(errs, fmt.Errorf("%d of %d targets are missed:\n%s", len(lines), j.targets, strings.Join(lines, "\n")))
	}
	return errors.Join(errs...)
}

// markdown is the same for whoever reads the page.
func (j judgement) markdown() string {
	var lines []string
	for _, m := range j.missed {
		lines = append(lines, fmt.Sprintf("- %s: %s: %s, not %s", m.part, m.describe(), quantity(m.Value, m.Unit), m.target))
	}
	for _, p := range j.absent {
		lines = append(lines, fmt.Sprintf("- %s: %s: not measured", p.part, p.figure().describe()))
	}
	text, gaps := "", j.gaps()
	if gaps != "" {
		text = gaps + "\n\n"
	}
	switch {
	case lines != nil:
		return text + fmt.Sprintf("%d of %d targets were missed:\n\n%s", len(lines), j.targets, strings.Join(lines, "\n"))
	case gaps != "":
		return text + fmt.Sprintf("The %d targets of what was measured were met.", j.targets)
	}
	return fmt.Sprintf("All %d targets were met.", j.targets)
}
