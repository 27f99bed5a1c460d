// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// kind is what the ledgers of schedules have in their field of this name.
	kind = "schedule"
	// maxText bounds, in bytes, a ledger that is read; those written here are well below.
	maxText = 4 << 10
	// maxErr bounds, in bytes, the error of a run that is kept. In JSON a byte may take six.
	maxErr = 200
)

// Record is what the ledger of a schedule says. A tick that is not after Since, nor after
// the one claimed last, is never claimed again.
type Record struct {
	// Since is from when on the schedule has ticks, if none was claimed yet, or if somebody
	// has made the ledger unreadable.
	Since time.Time `json:"since,omitzero"`
	// Claimed is the last claim.
	Claimed Claim `json:"claimed,omitzero"`
	// Unfinished are the ticks, in their order, that were claimed to be started at least
	// once and of which no run is known to have ended. There are [MaxRuns] at most.
	Unfinished []time.Time `json:"unfinished,omitempty"`
	// Last is the run that ended last.
	Last Run `json:"last,omitzero"`
	// Skipped are the ticks that were passed over.
	Skipped Skips `json:"skipped,omitzero"`
}

// Claim is the right to start a tick, on record before that happens.
type Claim struct {
	Tick time.Time `json:"tick"`
	// At is when it was made, by the clock of the replica, and Epoch that of its term.
	At    time.Time `json:"at"`
	Epoch int32     `json:"epoch"`
}

// Run is a run that has ended.
type Run struct {
	Tick time.Time `json:"tick"`
	// Started is when it was, or when its tick was claimed if that is all that is known;
	// Ended is zero then.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Epoch   int32     `json:"epoch"`
	Outcome Outcome   `json:"outcome"`
	// Err is the beginning of what it failed with.
	Err string `json:"error,omitempty"`
}

// Skips are the ticks that were passed over.
type Skips struct {
	// Count is how many there are, since the schedule began.
	Count int64 `json:"count"`
	// Tick is the last of them, and Reason is why.
	Tick   time.Time `json:"tick"`
	Reason Reason    `json:"reason"`
}

// written is a ledger as it stands in the annotation.
type written struct {
	Kind string `json:"kind"`
	Record
}

// Decode reads the ledger of a schedule. What it returns without an error is something
// that a [Machine] could have written: a text that somebody edited is not believed where
// it contradicts itself.
func Decode(text string) (Record, error) {
	if len(text) > maxText {
		return Record{}, fmt.Errorf("ledger: %d bytes are more than %d", len(text), maxText)
	}
	var w written
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Record{}, fmt.Errorf("ledger: %w", err)
	}
	if w.Kind != kind {
		return Record{}, fmt.Errorf("ledger: it is of kind %q, not %q", w.Kind, kind)
	}
	if err := w.Record.validate(); err != nil {
		return Record{}, fmt.Errorf("ledger: %w", err)
	}
	return w.inUTC(), nil
}

func (r Record) validate() error {
	if r.floor().IsZero() {
		return errors.New("since, claimed: one of them is required")
	}
	for _, at := range slices.Concat(r.Unfinished, []time.Time{r.Since, r.Claimed.Tick, r.Claimed.At, r.Last.Tick, r.Last.Started, r.Last.Ended, r.Skipped.Tick}) {
		if !at.IsZero() && !at.Equal(sane(at)) {
			return fmt.Errorf("%s is not allowed: it is not between %d and %d", at.Format(time.RFC3339), earliest.Year(), latest.Year())
		}
	}
	if len(r.Unfinished) > MaxRuns {
		return fmt.Errorf("unfinished: %d are more than %d", len(r.Unfinished), MaxRuns)
	}
	for i, tick := range r.Unfinished {
		if tick.IsZero() || tick.After(r.Claimed.Tick) || i > 0 && !tick.After(r.Unfinished[i-1]) {
			return fmt.Errorf("unfinished[%d]: it is not a tick that was claimed, later than the one before", i)
		}
	}
	if r.Skipped.Count < 0 {
		return fmt.Errorf("skipped.count: %d is negative", r.Skipped.Count)
	}
	return nil
}

// inUTC is the same record in the form in which it is written.
func (r Record) inUTC() Record {
	r.Unfinished = slices.Clone(r.Unfinished)
	for i := range r.Unfinished {
		r.Unfinished[i] = r.Unfinished[i].UTC()
	}
	for _, at := range []*time.Time{&r.Since, &r.Claimed.Tick, &r.Claimed.At, &r.Last.Tick, &r.Last.Started, &r.Last.Ended, &r.Skipped.Tick} {
		*at = at.UTC()
	}
	r.Last.Err = cut(r.Last.Err)
	return r
}

// encode writes the record down.
func (r Record) encode() string {
	text, err := json.Marshal(written{Kind: kind, Record: r})
	if err != nil {
		panic(err) // all that JSON has no way to write is kept out by sane
	}
	return string(text)
}

// floor is the tick up to which none is claimed again.
func (r Record) floor() time.Time {
	if r.Since.After(r.Claimed.Tick) {
		return r.Since
	}
	return r.Claimed.Tick
}

// with is the record with one more claim.
func (r Record) with(c Claim, d Delivery) Record {
	if c.Tick.IsZero() {
		return r
	}
	r.Claimed = c
	if !r.Since.After(c.Tick) {
		r.Since = time.Time{}
	}
	if d == AtLeastOnce {
		r.Unfinished = append(slices.Clone(r.Unfinished), c.Tick)
	}
	return r
}

// cut is the beginning of an error that is short enough to be kept.
func cut(err string) string {
	if len(err) > maxErr {
		err = err[:maxErr]
	}
	return strings.ToValidUTF8(err, "")
}

// A clock that shows something else is none: times are written with four digits for the
// year, and there are ticks for some time after the last.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(9900, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// sane is an instant within the limits, in UTC and without its monotonic part.
func sane(at time.Time) time.Time {
	switch {
	case at.Before(earliest):
		return earliest
	case at.After(latest):
		return latest
	}
	return at.UTC().Round(0)
}

// moment is when something happened, as precisely as it is kept.
func moment(at time.Time) time.Time { return at.Truncate(time.Millisecond) }
