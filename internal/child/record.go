// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Kind is the field "kind" of a [Record].
const Kind = "exec"

const (
	// maxRecordBytes is well below what a ledger may hold.
	maxRecordBytes = 3 << 10

	maxErrorBytes = 512
)

// Record is the end of a run of a program, as it stands in the ledger of the shard.
type Record struct {
	Kind string `json:"kind"`

	// ExitCode is what the program exited with; -1 if it did not, for the reason that Signal or Error tells.
	ExitCode int `json:"exitCode"`

	// Signal is what killed the program, as in "killed" or "segmentation fault".
	Signal string `json:"signal,omitempty"`

	// Error tells why the program could not be started, or why its exit status is not known.
	Error string `json:"error,omitempty"`

	// Stopped tells that the program was asked to end.
	Stopped bool `json:"stopped,omitempty"`

	// At is when the program ended.
	At time.Time `json:"at"`

	// Pod is where; empty if the replica is not in one.
	Pod string `json:"pod,omitempty"`

	// Restarts counts how often the program had been started again in that term.
	Restarts int `json:"restarts"`

	// Tail is the last that the program printed: at most 20 lines and 2 KiB, without control characters.
	Tail []string `json:"tail,omitempty"`
}

// String tells how the program ended.
func (r Record) String() string {
	var how string
	switch {
	case r.Error != "":
		how = r.Error
	case r.Signal != "":
		how = "signal: " + r.Signal
	default:
		how = fmt.Sprintf("exit code %d", r.ExitCode)
	}
	if r.Stopped {
		how += ", when it was told to stop"
	}
	return how
}

// failed tells whether the end is one to worry about.
func (r Record) failed() bool {
	return !r.Stopped && (r.ExitCode != 0 || r.Signal != "" || r.Error != "")
}

// Decode reads what stands in a ledger. The text is not trusted: whoever may write the Lease can change it.
func Decode(text string) (Record, error) {
	var r Record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Record{}, fmt.Errorf("decoding the record of a program: %w", err)
	}
	if r.Kind != Kind {
		return Record{}, fmt.Errorf("decoding the record of a program: its kind is %q, not %q", r.Kind, Kind)
	}
	var t tail
	for _, line := range r.Tail {
		t.add(line)
	}
	r.Tail = t.lines()
	r.Error, r.Signal, r.Pod = clean(r.Error, maxErrorBytes), clean(r.Signal, maxErrorBytes), clean(r.Pod, maxErrorBytes)
	return r, nil
}

// encode returns r for the ledger, without the oldest lines if it would be too long: as JSON some characters
// take up six times as much.
func (r Record) encode() (string, error) {
	r.Kind = Kind
	r.Error = clean(r.Error, maxErrorBytes)
	for {
		text, err := json.Marshal(r)
		if err != nil {
			return "", fmt.Errorf("encoding the record of a program: %w", err)
		}
		if len(text) <= maxRecordBytes || len(r.Tail) == 0 {
			return string(text), nil
		}
		r.Tail = r.Tail[1:]
	}
}

// clean makes a line fit to be shown: valid UTF-8, no control characters, no longer than the limit in bytes.
func clean(line string, limit int) string {
	line = line[:min(len(line), limit)]
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, line)
}
