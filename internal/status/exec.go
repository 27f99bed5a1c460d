// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Exec is what the ledger of a program says of its last end.
type Exec struct {
	// ExitCode is what it exited with; -1 if it did not, for a reason that Signal or
	// Error tells: what killed it, or why it could not be started.
	ExitCode int    `json:"exitCode"`
	Signal   string `json:"signal,omitempty"`
	Error    string `json:"error,omitempty"`
	// Stopped: it was told to end.
	Stopped bool `json:"stopped"`
	// At is when, in RFC 3339, by the clock of the Pod, which is where.
	At  string `json:"at"`
	Pod string `json:"pod,omitempty"`
	// Restarts is how often it had been started again in that term.
	Restarts int `json:"restarts"`
	// Tail is the last that it printed.
	Tail []string `json:"tail,omitempty"`
}

// writtenExec is the ledger of a program as internal/child writes it. That cannot be used
// here: it needs pkg/shard, which needs this package.
type writtenExec struct {
	Kind     string    `json:"kind"`
	ExitCode int       `json:"exitCode"`
	Signal   string    `json:"signal"`
	Error    string    `json:"error"`
	Stopped  bool      `json:"stopped"`
	At       time.Time `json:"at"`
	Pod      string    `json:"pod"`
	Restarts int       `json:"restarts"`
	Tail     []string  `json:"tail"`
}

func decodeExec(text string) (*Exec, error) {
	var w writtenExec
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if w.Kind != KindExec {
		return nil, fmt.Errorf("ledger: it is of kind %q, not %q", w.Kind, KindExec)
	}
	for i, line := range w.Tail {
		w.Tail[i] = printable(line)
	}
	return &Exec{
		ExitCode: w.ExitCode, Signal: printable(w.Signal), Error: printable(w.Error), Stopped: w.Stopped,
		At: moment(w.At), Pod: printable(w.Pod), Restarts: w.Restarts, Tail: w.Tail,
	}, nil
}

// printable is a line without what a terminal would obey: whoever may write a Lease may
// write anything there.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, line)
}

// String tells how it ended.
func (e *Exec) String() string {
	how := fmt.Sprintf("exit code %d", e.ExitCode)
	switch {
	case e.Error != "":
		how = e.Error
	case e.Signal != "":
		how = "signal: " + e.Signal
	}
	if e.Stopped {
		how += ", when it was told to stop"
	}
	return how
}
