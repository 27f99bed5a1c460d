// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"io"
)

// Story is a transcript without what goes on all the time: renewals and their
// replies, and replies that say no more than that a request succeeded. It is the
// [World.Transcript] of histories that people read. The zero value is ready to
// use.
type Story struct {
	// Last is how many lines are kept at most, the latest; 0: all.
	Last int

	lines   [][]byte
	dropped bool
}

// dull is what lines of no interest contain.
var dull = [][]byte{[]byte("(heartbeat)"), []byte("(renew)"), []byte(": ok\n"), []byte("read again after")}

// Write takes in one line.
func (s *Story) Write(line []byte) (int, error) {
	for _, part := range dull {
		if bytes.Contains(line, part) {
			return len(line), nil
		}
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
