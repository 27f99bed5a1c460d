// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func testContext() context.Context { return context.Background() }

// beReplica is the main function of a replica that holds a shard from its start until SIGTERM, and renews it
// for as long as it runs. Its arguments are the validity that a renewal gives, a file into which it writes the
// end of the validity before it counts on it, and the program.
func beReplica(args []string) int {
	ctx, stop := signal.NotifyContext(testContext(), syscall.SIGTERM)
	defer stop()
	validity, err := time.ParseDuration(args[0])
	if err != nil {
		panic(err)
	}
	record, err := os.Create(args[1])
	if err != nil {
		panic(err)
	}
	c, err := New(Options{
		Command: args[2:], Guardian: []string{os.Args[0], GuardianCommand}, TerminationGrace: 10 * time.Millisecond,
		Restart: Backoff{Initial: time.Millisecond, Max: time.Millisecond},
	})
	if err != nil {
		panic(err)
	}
	term := &fakeTerm{clock: lease.BootClock()}
	renew := func() {
		until := term.clock.Now().Add(validity)
		record.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(until)), 0)
		if term.spent() { // R4: one that has lapsed is not renewed
			return
		}
		term.renewTo(until)
	}
	renew()
	go func() {
		for {
			time.Sleep(validity / 4)
			renew()
		}
	}()
	if err := c.serve(ctx, term); err != nil {
		panic(err)
	}
	return 0
}

// spent tells whether the term was valid once, and is not any more.
func (t *fakeTerm) spent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until != 0 && t.clock.Now() >= t.until
}

func (t *fakeTerm) renewTo(until lease.Instant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = until
}

// replica is one that runs as a process of its own.
type replica struct {
	*exec.Cmd
	record string // of its validity
}

func startReplica(t *testing.T, at *family, validity time.Duration, command ...string) *replica {
	t.Helper()
	r := newReplica(t, at, validity, command...)
	r.start(t)
	return r
}

// newReplica returns one that is not started yet.
func newReplica(t *testing.T, at *family, validity time.Duration, command ...string) *replica {
	t.Helper()
	r := &replica{record: filepath.Join(t.TempDir(), "until")}
	r.Cmd = exec.Command(os.Args[0], append([]string{"replica", validity.String(), r.record}, command...)...)
	r.Env = append(os.Environ(), at.env(), quick)
	return r
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Process.Kill()
		r.Wait()
	})
}

// stop stops the replica as SIGSTOP does, and returns until when it holds the shard.
func (r *replica) stop(t *testing.T) lease.Instant {
	t.Helper()
	if err := r.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, r.Process.Pid, 'T')
	return lastStamp(t, r.record)
}
