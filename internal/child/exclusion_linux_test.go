// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/pkg/lease"
)

// TestTwoProgramsAreNeverAlive has one replica after the other hold the shard, each as soon as the rules of
// the election allow, and looks whether the programs, which need the same lock, ever meet.
func TestTwoProgramsAreNeverAlive(t *testing.T) {
	t.Parallel()
	const (
		validity = 1500 * time.Millisecond
		wait     = validity * 16 / 10 // since the last renewal: what Timings demands at least of LeaseDuration
		terms    = 12
	)
	dir := t.TempDir()
	lock, violations := filepath.Join(dir, "lock"), filepath.Join(dir, "violations")
	at, clock := listen(t), lease.BootClock()
	expire := func(end lease.Instant) {
		until(t, "the session of the last holder has expired", func() bool { return clock.Now() >= end.Add(wait-validity) })
	}
	for i := range terms {
		r := startReplica(t, at, validity, program("exclusive", lock, violations)...)
		m := at.await(t)
		switch i % 4 {
		case 0: // handed over
			r.Process.Signal(syscall.SIGTERM)
			r.Wait()
		case 1: // hangs, and wakes when the next one has the shard
			expire(r.stop(t))
			defer r.Process.Signal(syscall.SIGCONT)
		case 2: // its guardian hangs, and it hands over
			guardian := parentOf(t, m.pid)
			unix.Kill(guardian, unix.SIGSTOP)
			awaitState(t, guardian, 'T')
			r.Process.Signal(syscall.SIGTERM)
			r.Wait()
		case 3: // killed
			r.Process.Kill()
			r.Wait()
			expire(lastStamp(t, r.record))
		}
	}
	if found, err := os.ReadFile(violations); err == nil {
		t.Errorf("programs met:\n%s", found)
	}
	at.wantDead(t)
}
