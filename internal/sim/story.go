// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"io"
	"slices"
)

// Story is a transcript without what goes on all the time: renewals and their
// replies, and replies that say no more than that a request succeeded. It is the
// [World.Transcript] of histories that people read. The zero value is ready to
// use.
type Story struct {
	// Last is how many lines are kept at most, the latest; 0: all.
	Last int
	// Idle leaves out the work on objects, too.
	Idle bool

	lines   [][]byte
	dropped bool
}

// dull is what lines of no interest contain, and ofWork those about objects.
var (
	dull   = [][]byte{[]byte("(heartbeat)"), []byte("(renew)"), []byte(": ok\n"), []byte("read again after")}
	ofWork = [][]byte{[]byte("  user   "), []byte(" works on "), []byte(" reconciled "), []byte("failed to reconcile"), []byte("interrupted reconciling")}
)

// Write takes in one line.
func (s *Story) Write(line []byte) (int, error) {
	if containsAny(line, dull) || s.Idle && containsAny(line, ofWork) {
		return len(line), nil
	}
	if s.Last > 0 && len(s.lines) == s.Last {
		s.lines, s.dropped = s.lines[1:], true
	}
	s.lines = append(s.lines, bytes.Clone(line))
	return len(line), nil
}

// WriteTo writes the story.
func (s *Story) WriteTo(out io.Writer) (int64, error) {
	var all []byte
	if s.dropped {
		all = append(all, "           ...\n"...)
	}
	all = append(all, bytes.Join(s.lines, nil)...)
	n, err := out.Write(all)
	return int64(n), err
}

func (s *Story) String() string {
	var text bytes.Buffer
	_, _ = s.WriteTo(&text) // a buffer takes everything
	return text.String()
}

func containsAny(line []byte, parts [][]byte) bool {
	return slices.ContainsFunc(parts, func(part []byte) bool { return bytes.Contains(line, part) })
}

// lastLines of a story are told of a history: one that was minimised is shorter
// than that, unless it is long by nature.
const lastLines = 400

// workViolations are those that the work on objects explains.
var workViolations = []string{"work", "fence", "drain", "lost work"}

// Tell runs the history and writes its story: the last 400 lines of it, and
// without the work on objects if something else was violated.
func (h *History) Tell(out io.Writer) (*Violation, error) {
	full, idle := &Story{Last: lastLines}, &Story{Last: lastLines, Idle: true}
	h.Log(io.MultiWriter(full, idle), false)
	v := h.Run()
	story := full
	if v != nil && !slices.Contains(workViolations, v.Kind) {
		story = idle
	}
	_, err := story.WriteTo(out)
	return v, err
}
