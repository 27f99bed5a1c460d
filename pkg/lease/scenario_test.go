// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var updateTranscripts = flag.Bool("lease.update", false, "write the transcripts in testdata anew")

// scenario is a world in which a test says what happens. Nothing else goes
// wrong, and every request, reply and event takes a millisecond.
type scenario struct {
	*world
	t     *testing.T
	lines bytes.Buffer
}

func newScenario(t *testing.T, shards ...string) *scenario {
	t.Helper()
	s := &scenario{world: newWorld(1, Default, shards...), t: t}
	s.transcript = &s.lines
	t.Cleanup(func() {
		if s.checks.violation != "" {
			t.Error(s.checks.violation)
		}
		if t.Failed() {
			t.Logf("what happened:\n%s", &s.lines)
		}
	})
	return s
}

// installed is a scenario of a group with a layout record, so that its first
// start needs no wait.
func installed(t *testing.T, shards ...string) *scenario {
	t.Helper()
	s := newScenario(t, shards...)
	s.installLayout()
	return s
}

// settled is an installed group with these replicas, a few seconds after the
// last of them has got its share.
func settled(t *testing.T, shards string, pods ...string) *scenario {
	t.Helper()
	s := installed(t, strings.Fields(shards)...)
	for _, pod := range pods {
		s.start(pod)
		s.run(5 * time.Second)
	}
	return s
}

// replica is the newest process of a Pod.
func (s *scenario) replica(pod string) *modelReplica {
	s.t.Helper()
	for _, r := range slices.Backward(s.replicas) {
		if r.replica.Pod == pod {
			return r
		}
	}
	s.t.Fatalf("no replica %s", pod)
	return nil
}

// within lets time pass until the shards are held like that, at most d; it
// says how long it took.
func (s *scenario) within(d time.Duration, holders string) time.Duration {
	s.t.Helper()
	from := s.now
	if !s.until(d, func() bool { return s.holders() == holders }) {
		s.t.Fatalf("after %s the shards are held by %q, want %q", d, s.holders(), holders)
	}
	return s.now - from
}

// stays lets d pass and checks after everything that happens that the shards
// are held like that.
func (s *scenario) stays(d time.Duration, holders string) {
	s.t.Helper()
	from := s.now
	if s.until(d, func() bool { return s.holders() != holders }) {
		s.t.Fatalf("after %s the shards are held by %q, want them to stay with %q", s.now-from, s.holders(), holders)
	}
}

// shard is the record of a shard.
func (s *scenario) shard(shard string) Shard {
	s.t.Helper()
	l := s.server.leases[ShardLeaseName(modelGroup, shard)]
	if l == nil {
		s.t.Fatalf("shard %s has no Lease", shard)
	}
	return DecodeShard(l)
}

// member is the record of a replica; ok is false if there is none.
func (s *scenario) member(pod string) (m Member, ok bool) {
	s.t.Helper()
	l := s.server.leases[MemberLeaseName(modelGroup, s.replica(pod).replica)]
	if l == nil {
		return Member{}, false
	}
	return DecodeMember(l), true
}

func (s *scenario) deleteShardLease(shard string) {
	s.logf("*", "deletes the Lease of %s", shard)
	s.server.remove(ShardLeaseName(modelGroup, shard))
}

func (s *scenario) deleteMemberLease(pod string) {
	s.logf("*", "deletes the member Lease of %s", pod)
	s.server.remove(MemberLeaseName(modelGroup, s.replica(pod).replica))
}

// cut parts replicas from the API server, in both directions, for d.
func (s *scenario) cut(d time.Duration, replicas ...*modelReplica) {
	for _, r := range replicas {
		s.logf(r.name, "is cut off for %s", d)
		r.cutRequests, r.cutReplies, r.watch.stalled = s.now+d, s.now+d, s.now+d
	}
}

// writeShard makes a shard's Lease, or changes it, by hand.
func (s *scenario) writeShard(shard string, edit func(*coordinationv1.Lease)) {
	name := ShardLeaseName(modelGroup, shard)
	s.logf("*", "writes the Lease of %s", shard)
	if s.server.edit(name, edit) {
		return
	}
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(l)
	s.server.create(s.now, l)
}

// foreign makes a Lease one that an elector holds which knows the standard
// rules only.
func (s *scenario) foreign(seconds int32) func(*coordinationv1.Lease) {
	return func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = ptr.To("somebody-else")
		l.Spec.LeaseDurationSeconds = &seconds
		l.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Unix(serverEpoch, 0).Add(s.now)))
		l.Spec.LeaseTransitions = ptr.To(ptr.Deref(l.Spec.LeaseTransitions, 0) + 1)
	}
}

// matchTranscript compares what happened, heartbeats and successful replies
// left out, with the transcript of that name.
func (s *scenario) matchTranscript(name string) {
	s.t.Helper()
	var story strings.Builder
	for line := range strings.Lines(s.lines.String()) {
		if !strings.Contains(line, "(heartbeat)") && !strings.HasSuffix(line, ": ok\n") {
			story.WriteString(line)
		}
	}
	path := filepath.Join("testdata", name+".txt")
	if *updateTranscripts {
		if err := os.WriteFile(path, []byte(story.String()), 0o644); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatalf("%v: write it with -lease.update", err)
	}
	if story.String() != string(want) {
		s.t.Errorf("what happened differs from %s; if that is right, write it anew with -lease.update.\ngot:\n%s\nwant:\n%s", path, &story, want)
	}
}
