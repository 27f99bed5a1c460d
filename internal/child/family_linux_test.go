// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// quick keeps the race detector from having each process linger for a second before it exits.
const quick = "GORACE=atexit_sleep_ms=0"

// patience bounds every wait: what takes that long has failed.
const patience = time.Minute

// until waits for a condition that nothing tells of.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.WithoutCancel(t.Context()), 2*time.Millisecond, patience, true, func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("waited in vain until %s", what)
	}
}

// family is the processes that have reported to the test. Each holds a connection, which the system breaks when
// the process dies.
type family struct {
	*net.UnixListener
	members []*member
}

type member struct {
	net.Conn
	pid  int
	name string
}

func listen(t *testing.T) *family {
	t.Helper()
	// Not in t.TempDir, whose path may be too long for a socket.
	dir, err := os.MkdirTemp("", "child") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	f := &family{UnixListener: l}
	t.Cleanup(func() {
		l.Close()
		for _, m := range f.members {
			m.Close()
		}
		os.RemoveAll(dir)
	})
	return f
}

func (f *family) env() string { return addressVariable + "=" + f.Addr().String() }

// await returns the next process that reports.
func (f *family) await(t *testing.T) *member {
	t.Helper()
	f.SetDeadline(time.Now().Add(patience))
	conn, err := f.Accept()
	if err != nil {
		t.Fatal(err)
	}
	m := &member{Conn: conn}
	f.members = append(f.members, m)
	line, err := bufio.NewReaderSize(conn, 1<<20).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &m.pid, &m.name); err != nil {
		t.Fatal(err)
	}
	m.name = strings.TrimSpace(strings.TrimPrefix(line, fmt.Sprint(m.pid)))
	return m
}

// awaitAll returns the next processes, which report in any order, by name.
func (f *family) awaitAll(t *testing.T, n int) map[string]*member {
	t.Helper()
	found := make(map[string]*member)
	for range n {
		m := f.await(t)
		found[m.name] = m
	}
	return found
}

// dead tells whether the process dies within a time.
func (m *member) dead(within time.Duration) bool {
	m.SetReadDeadline(time.Now().Add(within))
	_, err := m.Read(make([]byte, 1))
	var timeout net.Error
	return !errors.As(err, &timeout) || !timeout.Timeout()
}

// wantDead fails if a process that has reported is still alive: it does not wait for its death.
func (f *family) wantDead(t *testing.T) {
	t.Helper()
	for _, m := range f.members {
		if !m.dead(time.Millisecond) {
			t.Errorf("%s is still alive", m.name)
		}
	}
}

// awaitDeath waits until every process that has reported is dead.
func (f *family) awaitDeath(t *testing.T) {
	t.Helper()
	for _, m := range f.members {
		if !m.dead(patience) {
			t.Fatalf("%s does not die", m.name)
		}
	}
}

// running is a Child whose term the test has in its hands.
type running struct {
	cancel context.CancelFunc
	ended  chan error
}

// serve runs a Child for a term.
func serve(t *testing.T, term *fakeTerm, o Options) *running {
	t.Helper()
	return serveLogging(t, term, o, logr.Discard())
}

func serveLogging(t *testing.T, term *fakeTerm, o Options, log logr.Logger) *running {
	t.Helper()
	o.Guardian = []string{os.Args[0], GuardianCommand}
	o.Env = append(o.Env, quick)
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), log))
	r := &running{cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- c.serve(ctx, term) }()
	t.Cleanup(func() {
		term.renew(0) // whatever else has failed, the program dies now
		cancel()
		r.await(t)
	})
	return r
}

// stop gives the shard away, and waits until the work has ended.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	r.await(t)
}

func (r *running) await(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		if err != nil {
			t.Errorf("the work ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the work does not end")
	}
}

// lastWord is how the program ended, as left for the next holder.
func lastWord(t *testing.T, term *fakeTerm) Record {
	t.Helper()
	r, err := Decode(term.left())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parentOf is the guardian of a program.
func parentOf(t *testing.T, pid int) int {
	t.Helper()
	all, err := processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.pid == pid {
			return p.parent
		}
	}
	t.Fatalf("process %d is gone", pid)
	return 0
}

// awaitState waits until a process is in a state, as in proc_pid_stat(5).
func awaitState(t *testing.T, pid int, state byte) {
	t.Helper()
	until(t, fmt.Sprintf("process %d is in state %c", pid, state), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err == nil && stat[bytes.LastIndexByte(stat, ')')+2] == state
	})
}
