// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// at is an instant so many milliseconds after the beginning.
func at(millis int) time.Time {
	return time.Unix(0, 0).UTC().Add(time.Duration(millis) * time.Millisecond)
}

func TestEvenSince(t *testing.T) {
	both := []string{"a", "b"}
	held := history{
		{Shard: "1", Kind: started, At: at(1), replica: "a"},
		{Shard: "2", Kind: started, At: at(2), replica: "a"},
		{Shard: "1", Kind: stopped, At: at(3), replica: "a"},
		{Shard: "1", Kind: started, At: at(4), replica: "b"},
	}
	for _, test := range []struct {
		name     string
		history  history
		replicas []string
		since    time.Time
	}{
		{"nothing happened", nil, both, time.Time{}},
		{"not all are held", held[:1], both, time.Time{}},
		{"one has it all", held[:2], both, time.Time{}},
		{"one has it all, as it should", held[:2], both[:1], at(2)},
		{"shared", held, both, at(4)},
		{"what changes nothing", append(slices.Clone(held), event{Shard: "1", Kind: watching, At: at(5), replica: "a"}), both, at(4)},
		{"shared with a third", held, []string{"a", "b", "c"}, at(4)},
		{"shared with somebody who should have nothing", held, both[:1], time.Time{}},
		{"one is killed", append(slices.Clone(held), event{Kind: killed, At: at(5), replica: "b"}), both, time.Time{}},
		{"and comes back", append(slices.Clone(held),
			event{Kind: killed, At: at(5), replica: "b"},
			event{Shard: "1", Kind: started, At: at(6), replica: "b"}), both, at(6)},
		{"the other took it before its end was noted", append(slices.Clone(held),
			event{Shard: "1", Kind: started, At: at(5), replica: "a"},
			event{Shard: "1", Kind: stopped, At: at(6), replica: "b"}), both[:1], at(5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if since, shares := test.history.evenSince(2, test.replicas); !since.Equal(test.since) {
				t.Errorf("even since %v with %v, want %v", since, shares, test.since)
			}
		})
	}
}

func TestGapsOfAHandOff(t *testing.T) {
	h := history{
		{Shard: "1", Kind: started, At: at(0), replica: "a"},
		{Shard: "2", Kind: started, At: at(0), replica: "a"},
		{Shard: "3", Kind: started, At: at(0), replica: "a"},
		{Shard: "1", Kind: stopped, At: at(10), replica: "a"},
		{Shard: "2", Kind: stopped, At: at(11), replica: "a"},
		{Shard: "3", Kind: stopped, At: at(12), replica: "a"},
		{Shard: "1", Kind: started, At: at(13), replica: "b"},
		{Shard: "2", Kind: started, At: at(9), replica: "c"}, // before the other has ended
		{Shard: "4", Kind: started, At: at(20), replica: "b"},
		{Shard: "1", Kind: started, At: at(30), replica: "c"}, // another term
	}.sorted()
	got := gapsBetween(h.lastWork("a"), h.successors("a"))
	slices.Sort(got)
	if want := (gaps{-2 * time.Millisecond, 3 * time.Millisecond}); !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
	if got.overlaps() != 1 {
		t.Errorf("%d overlaps, want 1", got.overlaps())
	}
}

func TestSuccessors(t *testing.T) {
	first := history{
		{Shard: "1", Kind: started, At: at(0), replica: "b"},
		{Shard: "1", Kind: stopped, At: at(1), replica: "b"},
		{Shard: "1", Kind: started, At: at(2), replica: "a"},
	}
	for _, test := range []struct {
		name string
		then history
		want map[string]time.Time
	}{
		{"who had it before is none", nil, map[string]time.Time{}},
		{"after a kill", history{
			{Kind: killed, At: at(3), replica: "a"},
			{Shard: "1", Kind: started, At: at(4), replica: "b"},
			{Shard: "1", Kind: started, At: at(5), replica: "c"},
		}, map[string]time.Time{"1": at(4)}},
		{"of the last term", history{
			{Shard: "1", Kind: started, At: at(4), replica: "b"},
			{Shard: "1", Kind: started, At: at(5), replica: "a"},
			{Shard: "1", Kind: started, At: at(6), replica: "c"},
		}, map[string]time.Time{"1": at(6)}},
		{"it saw that another holds it", history{{Shard: "1", Kind: watching, At: at(4), replica: "c"}}, map[string]time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := slices.Concat(first, test.then).successors("a"); !maps.Equal(got, test.want) {
				t.Errorf("successors %v, want %v", got, test.want)
			}
		})
	}
}

func TestGapsSinceAnEvent(t *testing.T) {
	got := gapsSince(at(5), map[string]time.Time{"1": at(7), "2": at(10)})
	slices.Sort(got)
	if want := (gaps{2 * time.Millisecond, 5 * time.Millisecond}); !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
}

func TestGapsAsNumbers(t *testing.T) {
	g := gaps{1500 * time.Microsecond, -time.Millisecond}
	if got, want := g.in(time.Millisecond), []float64{-1, 1.5}; !slices.Equal(got, want) {
		t.Errorf("%v ms, want %v", got, want)
	}
}

func TestNotesAreReadAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.events")
	if events, err := readEvents(path, "a"); err != nil || len(events) > 0 {
		t.Fatalf("before anything was written: %v, %v", events, err)
	}
	n, err := openNotes(path)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.note(started, "1")
	n.note(stopped, "1")
	if _, err := n.file.WriteString(`{"shard":"2","ev`); err != nil { // it is killed just now
		t.Fatal(err)
	}
	if err := n.file.Close(); err != nil {
		t.Fatal(err)
	}
	events, err := readEvents(path, "a")
	if err != nil || len(events) != 2 {
		t.Fatalf("read %v, %v", events, err)
	}
	for i, want := range []string{started, stopped} {
		if e := events[i]; e.Kind != want || e.Shard != "1" || e.replica != "a" || e.At.Before(began.Truncate(0)) {
			t.Errorf("read %+v, want %s of shard 1 by a after %v", e, want, began)
		}
	}
	if err := os.WriteFile(path, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if events, err := readEvents(path, "a"); err == nil {
		t.Errorf("nonsense was read as %v", events)
	}
}

// What has been read is not read again, and what is added is found, also behind a line that was not complete.
func TestEventLogReadsOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	l := &eventLog{path: path, replica: "a"}
	const line = `{"shard":"1","event":"started","time":"2026-01-01T00:00:00Z"}` + "\n"
	text := ""
	for i, test := range []struct {
		more string
		want int
	}{{line, 1}, {"", 1}, {line + line[:9], 2}, {line[9:] + line, 4}} {
		text += test.more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if events, err := l.read(); err != nil || len(events) != test.want || l.offset > int64(len(text)) {
			t.Errorf("reading %d: %d events up to %d of %d, %v; want %d", i, len(events), l.offset, len(text), err, test.want)
		}
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("x", len(line))+text[len(line):]), 0o600); err != nil {
		t.Fatal(err)
	}
	if events, err := l.read(); err != nil || len(events) != 4 {
		t.Errorf("%d events, %v: the first line was read again", len(events), err)
	}
}
