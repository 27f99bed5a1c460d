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
	text := fmt.Sprintf("%s, `%s` at commit %s, on one machine: %s. %s. The run took %s.\n",
		r.When.Format(time.DateOnly), r.Command, r.short(), r.Machine, strings.Join(versions, ", "), r.took())
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

// met says how many targets there were, which were missed, and what was not measured.
func (r results) met() string {
	if r.Quick {
		return "It was a test of the program: there are no targets."
	}
	return judge(names(parts()), r.Parts).markdown()
}

// took is how long the parts of this run took together; those of other runs do not count.
func (r results) took() time.Duration {
	var seconds float64
	for _, m := range r.Parts {
		if m.Run == nil {
			seconds += m.Seconds
		}
	}
	return time.Duration(seconds * float64(time.Second))
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
