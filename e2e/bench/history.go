// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"sync"
	"time"
)

// The kinds of events.
const (
	started  = "started"  // the work for a shard begins
	stopped  = "stopped"  // the work for a shard has ended: nothing is written any more
	watching = "watching" // another elector's hold of a shard is seen
	killed   = "killed"   // the process has ended without a word
)

// event is something that happened in a replica, by the wall clock of the machine that all of them run on.
type event struct {
	Shard   string    `json:"shard,omitempty"`
	Kind    string    `json:"event"`
	At      time.Time `json:"time"`
	replica string
}

// notes are where a replica writes its events, one JSON object per line.
type notes struct {
	mu   sync.Mutex
	file *os.File
}

func openNotes(path string) (*notes, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return &notes{file: file}, nil
}

// note writes an event that happens now. One write per line, so that a SIGKILL leaves whole lines.
func (n *notes) note(kind, shard string) {
	e := event{Shard: shard, Kind: kind, At: time.Now()}
	line, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("event %+v: %v", e, err)) // there is nothing in it that has no JSON
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.file.Write(append(line, '\n')); err != nil {
		fmt.Fprintln(os.Stderr, "note an event:", err) // whoever waits for it says that it is missing
	}
}

// readEvents reads what a replica has noted so far.
func readEvents(path, replica string) ([]event, error) {
	return (&eventLog{path: path, replica: replica}).read()
}

// eventLog is what one replica notes, for those who read it again and again: each line is read once.
type eventLog struct {
	path, replica string
	offset        int64 // of what has not been read
	events        []event
}

// read returns all that has been noted so far.
func (l *eventLog) read() (_ []event, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("events of %s: %w", l.replica, err)
		}
	}()
	file, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) { // it may not have come that far
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.offset, math.MaxInt64-l.offset))
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		e := event{replica: l.replica}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		l.events, l.offset = append(l.events, e), l.offset+int64(len(line))
	}
	return l.events, nil
}

// history is what happened in a group, oldest first.
type history []event

func (h history) sorted() history {
	slices.SortStableFunc(h, func(a, b event) int { return a.At.Compare(b.At) })
	return h
}

// shares are how many shards each replica works for.
type shares map[string]int

func (s shares) difference() int {
	counts := slices.Collect(maps.Values(s))
	return slices.Max(counts) - slices.Min(counts)
}

// sharesOf counts. Whoever holds something and is not among those that should makes the shares one longer.
func sharesOf(holders map[string]string, replicas []string) shares {
	s := shares{}
	for _, name := range replicas {
		s[name] = 0
	}
	for _, holder := range holders {
		s[holder]++
	}
	return s
}

// evenSince is since when all shards are worked for by these replicas, and the shares differ by at most one; zero if they do
// not now. The shares are those of now.
func (h history) evenSince(shards int, replicas []string) (since time.Time, now shares) {
	holders := map[string]string{}
	now = sharesOf(holders, replicas)
	for _, e := range h {
		switch e.Kind {
		case started:
			holders[e.Shard] = e.replica
		case stopped:
			if holders[e.Shard] == e.replica {
				delete(holders, e.Shard)
			}
		case killed:
			maps.DeleteFunc(holders, func(_, holder string) bool { return holder == e.replica })
		default:
			continue
		}
		now = sharesOf(holders, replicas)
		if even := len(holders) == shards && len(now) == len(replicas) && now.difference() <= 1; !even {
			since = time.Time{}
		} else if since.IsZero() {
			since = e.At
		}
	}
	return since, now
}

// watched is how many shards a replica has seen another hold.
func (h history) watched(replica string) int {
	seen := map[string]bool{}
	for _, e := range h {
		if e.replica == replica && e.Kind == watching {
			seen[e.Shard] = true
		}
	}
	return len(seen)
}

// lastWork is when a replica's work for each of its shards ended, in its last term of each. What it has not ended has no entry.
func (h history) lastWork(of string) map[string]time.Time {
	ended := map[string]time.Time{}
	for _, e := range h {
		if e.replica == of && e.Kind == stopped {
			ended[e.Shard] = e.At
		}
	}
	return ended
}

// successors is when the first work of another replica began, for each shard that a replica had, after that had begun its own
// last term: even before it ended that.
func (h history) successors(of string) map[string]time.Time {
	had, began := map[string]bool{}, map[string]time.Time{}
	for _, e := range h {
		if e.Kind != started {
			continue
		}
		if e.replica == of {
			had[e.Shard] = true
			delete(began, e.Shard)
		} else if had[e.Shard] && began[e.Shard].IsZero() {
			began[e.Shard] = e.At
		}
	}
	return began
}

// gaps are for how long nobody worked for shards, in no order; negative if two did.
type gaps []time.Duration

// gapsBetween are those of all shards for which both instants are known.
func gapsBetween(ended, began map[string]time.Time) gaps {
	var all gaps
	for shard, at := range began {
		if end, ok := ended[shard]; ok {
			all = append(all, at.Sub(end))
		}
	}
	return all
}

// gapsSince are those that have all begun with one event.
func gapsSince(ended time.Time, began map[string]time.Time) gaps {
	var all gaps
	for _, at := range began {
		all = append(all, at.Sub(ended))
	}
	return all
}

// in is the gaps as numbers, shortest first.
func (g gaps) in(unit time.Duration) []float64 {
	var values []float64
	for _, gap := range slices.Sorted(slices.Values(g)) {
		values = append(values, float64(gap)/float64(unit))
	}
	return values
}

// overlaps is how often two worked for a shard.
func (g gaps) overlaps() int { return g.shorterThan(0) }

func (g gaps) shorterThan(limit time.Duration) int {
	n := 0
	for _, gap := range g {
		if gap < limit {
			n++
		}
	}
	return n
}
