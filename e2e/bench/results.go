// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"time"
)

// schemaVersion is the version of the results file. It changes with the meaning or the name of a field, not with a new one.
const schemaVersion = 1

// results are what one run has measured: the file from which all tables and plots are made, docs/benchmarks/results.json.
type results struct {
	Schema int `json:"schema"`
	run
	// Quick runs are tests of the program: nothing in them means anything.
	Quick bool `json:"quick,omitempty"`
	// Command is what the run was started with.
	Command string `json:"command"`
	// Versions are those of the servers and of the contenders' modules, by name.
	Versions map[string]string `json:"versions"`
	Machine  machine           `json:"machine"`
	Parts    []measurement     `json:"parts"`
}

// run says when something was measured, and with which source.
type run struct {
	When time.Time `json:"when"`
	// Commit is that of the source; "-dirty" follows if the tree had changes.
	Commit string `json:"commit"`
}

// newResults are those of a run that began then.
func newResults(began time.Time, command string, b *bench) results {
	versions := moduleVersions()
	if b.cp != nil {
		versions["Kubernetes"], versions["etcd"] = b.cp.Binaries().Kubernetes, b.cp.Binaries().Etcd
	}
	return results{
		Schema: schemaVersion, run: run{When: began.UTC().Truncate(time.Second), Commit: commit()}, Quick: b.quick,
		Command: command, Versions: versions, Machine: thisMachine(), Parts: b.parts,
	}
}

// comparableTo is an error if figures of the two runs cannot stand on one page.
func (r results) comparableTo(later results) error {
	if r.Machine != later.Machine || r.Quick != later.Quick {
		return errors.New("the results that are there were measured on another machine, or in another way: measure all parts, so that they are replaced")
	}
	for name, version := range r.Versions {
		if now := later.Versions[name]; now != "" && now != version {
			return fmt.Errorf("the results that are there were measured with %s %s, not %s: measure all parts, so that they are replaced", name, version, now)
		}
	}
	return nil
}

// merge puts the parts of a later run in the place of the same parts. Each says then from which run it is. A part that has failed
// takes the place of none that has not.
func (r results) merge(later results) (results, error) {
	if err := r.comparableTo(later); err != nil {
		return r, err
	}
	r.Versions = maps.Clone(r.Versions)
	maps.Copy(r.Versions, later.Versions) // the earlier run may have needed no control plane
	r.Parts = slices.Clone(r.Parts)
	for _, m := range later.Parts {
		m.Run = &later.run
		switch old := r.part(m.Part); {
		case old == nil:
			r.Parts = append(r.Parts, m)
		case !m.Failed || old.Failed:
			*old = m
		}
	}
	order := names(parts())
	slices.SortFunc(r.Parts, func(x, y measurement) int { return slices.Index(order, x.Part) - slices.Index(order, y.Part) })
	return r, nil
}

// keep returns the results with parts of an earlier run in the place of those that have failed, where both can stand on one page.
// They say from which run they are.
func (r results) keep(before results) results {
	if before.comparableTo(r) != nil {
		return r
	}
	r.Parts = slices.Clone(r.Parts)
	for i, m := range r.Parts {
		old := before.part(m.Part)
		if !m.Failed || old == nil || old.Failed {
			continue
		}
		r.Parts[i] = *old
		if old.Run == nil {
			r.Parts[i].Run = &before.run
		}
	}
	return r
}

// part is what was measured of one; nil if it was not.
func (r results) part(name string) *measurement {
	for i := range r.Parts {
		if r.Parts[i].Part == name {
			return &r.Parts[i]
		}
	}
	return nil
}

// readResults reads what encode has written.
func readResults(path string) (results, error) {
	var r results
	text, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("results: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("results %s: %w", path, err)
	}
	if r.Schema != schemaVersion {
		return r, fmt.Errorf("results %s: schema %d is not known, but %d: measure all parts again", path, r.Schema, schemaVersion)
	}
	return r, nil
}

// leaf is an object or an array that contains neither.
var (
	leaf      = regexp.MustCompile(`[\[{]\n[^\[\]{}]*\n\s*[\]}]`)
	lineBreak = regexp.MustCompile(`\n\s*`)
)

// encode writes a figure, and the values of a series, on one line each: what has changed from one run to the next is to be read
// as a difference.
func (r results) encode() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	text = leaf.ReplaceAllFunc(text, func(found []byte) []byte { return lineBreak.ReplaceAll(found, []byte(" ")) })
	return append(text, '\n'), nil
}

// storedFigure is a figure in the results file.
type storedFigure struct {
	Name string    `json:"name"`
	Who  contender `json:"who,omitempty"`
	Unit string    `json:"unit,omitempty"`
	// Value is null if it could not be computed: what is not a number, or not a finite one, has no JSON. It is read as not a
	// number, which misses every target as well.
	Value   *float64 `json:"value"`
	AtMost  *float64 `json:"atMost,omitempty"`
	AtLeast *float64 `json:"atLeast,omitempty"`
	// Missed is for whoever reads the file: it follows from the rest.
	Missed bool `json:"missed,omitempty"`
}

// MarshalJSON writes a storedFigure.
func (f figure) MarshalJSON() ([]byte, error) {
	s := storedFigure{Name: f.Name, Who: f.Who, Unit: f.Unit, Missed: f.missed()}
	if f.finite() {
		s.Value = &f.Value
	}
	switch f.target.bound {
	case atMost:
		s.AtMost = &f.target.value
	case atLeast:
		s.AtLeast = &f.target.value
	}
	return json.Marshal(s)
}

// UnmarshalJSON reads a storedFigure.
func (f *figure) UnmarshalJSON(text []byte) error {
	var s storedFigure
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	*f = figure{Name: s.Name, Who: s.Who, Unit: s.Unit, Value: math.NaN()}
	if s.Value != nil {
		f.Value = *s.Value
	}
	switch {
	case s.AtMost != nil:
		*f = f.atMost(*s.AtMost)
	case s.AtLeast != nil:
		*f = f.atLeast(*s.AtLeast)
	}
	return nil
}
