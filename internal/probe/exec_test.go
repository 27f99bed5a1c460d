// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package probe

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// program makes the probe of a program that this test binary plays.
func program(t *testing.T, role string) Probe {
	t.Helper()
	t.Setenv(roleVariable, role)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each process would linger for a second
	return made(t, Config{Exec: &Exec{Command: []string{os.Args[0]}}})
}

func TestExecGoesByTheExitCode(t *testing.T) {
	want(t, program(t, "fit")(t.Context()), "")
	err := program(t, "unfit")(t.Context())
	if err == nil {
		t.Fatal("a program that exits with code 3 is taken for fit")
	}
	text := err.Error()
	if !strings.HasPrefix(text, os.Args[0]+": exit status 3: ") || !strings.HasSuffix(text, "noise the disk is full") {
		t.Errorf("the error is %q, want the exit status and the end of the output", text)
	}
	if len(text) > maxOutput+len(os.Args[0])+100 {
		t.Errorf("the error has %d bytes", len(text))
	}
}

func TestExecOfWhatIsNotThere(t *testing.T) {
	p := made(t, Config{Exec: &Exec{Command: []string{"/does/not/exist"}}})
	want(t, p(t.Context()), "/does/not/exist: fork/exec /does/not/exist: no such file or directory")
	p = made(t, Config{Exec: &Exec{Command: []string{"no-such-program"}}})
	want(t, p(t.Context()), "no-such-program: executable file not found in $PATH")
}

func TestExecIsKilledWithItsChildrenWhenTheTimeIsOver(t *testing.T) {
	family := listen(t)
	p := program(t, "family")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p(ctx) }()
	family.await(t, "child", "parent")
	over := errors.New("the role was removed")
	cancel(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
	family.wantDead(t)
}

func TestExecTimesOut(t *testing.T) {
	family := listen(t)
	p := program(t, "family")
	want(t, p(within(t, 500*time.Millisecond)), os.Args[0]+": no answer in time")
	family.wantDead(t)
}

func TestExecLeavesNoChildBehind(t *testing.T) {
	family := listen(t)
	want(t, program(t, "leaver")(t.Context()), "")
	family.await(t, "child")
	family.wantDead(t)
}

func TestExecWhoseChildKeepsTheOutputFails(t *testing.T) {
	family := listen(t)
	want(t, program(t, "clinger")(t.Context()),
		os.Args[0]+": a process that it left behind kept its output open for 1s: wait for it, or redirect its output")
	family.await(t, "child")
	family.wantDead(t)
}

// family is the processes that have reported to the test. Each holds a connection, which the
// system breaks when the process dies: that shows their end without looking for their process
// numbers.
type family struct {
	net.Listener
	members []net.Conn
}

func listen(t *testing.T) *family {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &family{Listener: l}
	t.Cleanup(func() {
		l.Close()
		for _, m := range f.members {
			m.Close()
		}
	})
	t.Setenv(addressVariable, l.Addr().String())
	return f
}

func (f *family) await(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		conn, err := f.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f.members = append(f.members, conn)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != name {
			t.Fatalf("%q reported (%v), want %s", line, err, name)
		}
	}
}

func (f *family) wantDead(t *testing.T) {
	t.Helper()
	for _, conn := range f.members {
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err := conn.Read(make([]byte, 1))
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("a process of the probe is still alive")
		}
	}
}
