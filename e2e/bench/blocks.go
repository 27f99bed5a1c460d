// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// blocks are the pieces of the pages that are made from the results, by name: "run", what was run when and where; one for each
// part; "highlights", what the README has.
func (r results) blocks() map[string]string {
	all := map[string]string{"run": r.describe(), "highlights": r.highlights()}
	for _, p := range parts() {
		all[p.name] = r.describePart(p)
	}
	return all
}

func (r results) describe() string {
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+" "+r.Versions[name])
	}
	text := fmt.Sprintf("%s, `%s` at commit %s, on one machine: %s. %s.\n", r.When.Format(time.DateOnly), r.Command, r.short(), r.Machine, strings.Join(versions, ", "))
	return text + "\n" + r.met() + "\n"
}

// short is the commit as people write it.
func (r run) short() string {
	revision, dirty, _ := strings.Cut(r.Commit, "-")
	short := revision[:min(len(revision), 12)]
	if dirty != "" {
		short += " with changes"
	}
	return short
}

// met says how many targets there were, and which were missed.
func (r results) met() string {
	targets := 0
	var missed []string
	for _, m := range r.Parts {
		for _, f := range m.Figures {
			if f.target.bound != "" {
				targets++
			}
			if f.missed() {
				missed = append(missed, fmt.Sprintf("- %s: %s: %s, not %s", m.Part, f.describe(), quantity(f.Value, f.Unit), f.target))
			}
		}
	}
	if len(missed) == 0 {
		return fmt.Sprintf("All %d targets were met.", targets)
	}
	return fmt.Sprintf("%d of %d targets were missed:\n\n%s", len(missed), targets, strings.Join(missed, "\n"))
}

// image is the plot of a part, as docs/ has it; empty if there is none.
func (r results) image(part string) string {
	for _, c := range charts() {
		if c.part != part {
			continue
		}
		if p, err := c.draw(r); err == nil && p != nil { // an error is reported where the plots are made
			return fmt.Sprintf("![%s](images/%s)\n\n", c.alt, path.Base(plotFile(c.name)))
		}
	}
	return ""
}

// describe says what a figure is of.
func (f figure) describe() string {
	if f.Who == "" {
		return title(f.Name)
	}
	return fmt.Sprintf("%s, %s", f.Who, title(f.Name))
}

func (r results) describePart(p part) string {
	m := r.part(p.name)
	if m == nil {
		return "It has not been measured.\n"
	}
	took := time.Duration(m.Seconds * float64(time.Second)).Round(time.Second)
	text := r.image(p.name) + m.markdown() + fmt.Sprintf("\n%s. It took %s", m.Heading, took)
	if m.Run != nil {
		text += fmt.Sprintf(", in another run than the rest: %s, commit %s", m.Run.When.Format(time.DateOnly), m.Run.short())
	}
	if m.Failed {
		text += ", and could not be measured to its end"
	}
	return text + ".\n"
}
