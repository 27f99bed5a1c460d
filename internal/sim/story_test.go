// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// TestStories tells the histories that everyone should read, with the default
// timings (15 s, 9 s, 3 s) and a network that takes a millisecond each way. They
// are in testdata; a change of behaviour shows as a change of what is told.
func TestStories(t *testing.T) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			var told strings.Builder
			for line := range strings.SplitSeq(strings.TrimSpace(story.text), "\n") {
				fmt.Fprintf(&told, "# %s\n", strings.TrimSpace(line))
			}
			story.tell(&teller{t: t, told: &told, seed: 1})
			matchFile(t, filepath.Join("testdata", story.name+".txt"), told.String())
		})
	}
}

func matchFile(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with -update", err)
	}
	if got != string(want) {
		t.Errorf("the story differs from %s; if that is right, write it anew with -update.\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// teller writes down what happens in one world or more.
type teller struct {
	t    *testing.T
	told *strings.Builder
	// seed of the worlds that it begins: chance is what client-go's electors
	// wait, and nothing else here.
	seed uint64
	*sim.World
}

// begin begins with a world of its own.
func (s *teller) begin(title string, shards ...string) {
	fmt.Fprintf(s.told, "\n%s\n", title)
	s.World = sim.New(s.seed, lease.Default, shards...)
	lines := &sim.Story{}
	s.Transcript = lines
	s.t.Cleanup(func() {
		if s.Checks.Violation != nil {
			s.t.Error(s.Checks.Violation)
		}
	})
}

// end writes down what happened in it.
func (s *teller) end() {
	fmt.Fprint(s.told, s.Transcript)
	if s.Checks.Violation != nil {
		s.t.Error(s.Checks.Violation)
	}
}

// settle begins with a group whose replicas share the shards.
func (s *teller) settle(title, shards string, pods ...string) []*sim.Replica {
	s.begin(title, strings.Fields(shards)...)
	s.InstallLayout()
	quiet := s.Transcript
	s.Transcript = nil
	for _, pod := range pods {
		s.Start(pod)
		s.Run(5 * time.Second)
	}
	s.Transcript = quiet
	s.notef("%s: held by %s", strings.Join(strings.Fields(shards), ", "), s.Holders())
	return s.Replicas
}

// note adds a remark.
func (s *teller) notef(format string, args ...any) { s.Logf("--", format, args...) }

// heldBy fails unless the shards are held like that now.
func (s *teller) heldBy(holders string) {
	s.t.Helper()
	if got := s.Holders(); got != holders {
		s.t.Errorf("held by %q, want %q", got, holders)
	}
	s.notef("held by %s", holders)
}

// cut parts replicas from the API server for d.
func (s *teller) cut(d time.Duration, replicas ...*sim.Replica) {
	for _, r := range replicas {
		s.Logf(r.Name, "is cut off for %s", d)
		r.CutRequests, r.CutReplies, r.Watch.Stalled = s.Now()+d, s.Now()+d, s.Now()+d
	}
}
