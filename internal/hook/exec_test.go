// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package hook

import (
	"bufio"
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestProgramGetsRequestOnStdinAndAnswersOnStdout(t *testing.T) {
	p := newProgram(t, "echo", []EnvVar{{"EXTRA", "from the configuration"}}, "$HOME; no shell", "*")
	var got struct {
		Request map[string]any
		Args    []string `json:"args"`
		Extra   string   `json:"extra"`
		R       any      `json:"request"`
	}
	if err := p.Call(t.Context(), map[string]any{"large": int64(9007199254740993)}, &got); err != nil {
		t.Fatal(err)
	}
	if want := any(map[string]any{"large": int64(9007199254740993)}); !reflect.DeepEqual(got.R, want) {
		t.Errorf("the program got %v, want %v", got.R, want)
	}
	if want := []string{"$HOME; no shell", "*"}; !reflect.DeepEqual(got.Args, want) {
		t.Errorf("arguments %q, want %q", got.Args, want)
	}
	if got.Extra != "from the configuration" {
		t.Errorf("EXTRA is %q", got.Extra)
	}
}

func TestProgramFailures(t *testing.T) {
	tests := []struct {
		name, role string
		args       []string
		reason     Reason
		detail     string // in the message
	}{
		{"exit code", "fail", nil, Failed, "exit status 3"},
		{"garbage", "print", []string{"Traceback (most recent call last)"}, BadAnswer, "Traceback"},
		{"nothing", "print", []string{""}, BadAnswer, "is empty"},
		{"null", "print", []string{"null"}, BadAnswer, "is not a JSON object"},
		{"two answers", "print", []string{"{}{}"}, BadAnswer, "after top-level value"},
		{"endless answer", "flood", nil, TooLarge, "10485760"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var answer map[string]any
			err := newProgram(t, tt.role, nil, tt.args...).Call(t.Context(), struct{}{}, &answer)
			wantError(t, err, tt.reason, tt.detail)
		})
	}
}

func TestProgramErrorHasTheEndOfStderr(t *testing.T) {
	var answer map[string]any
	err := newProgram(t, "fail", nil).Call(t.Context(), struct{}{}, &answer)
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if !strings.HasSuffix(failure.Excerpt, "the reason") || len(failure.Excerpt) > maxExcerptBytes {
		t.Errorf("excerpt %q of %d bytes, want the last %d of stderr", failure.Excerpt, len(failure.Excerpt), maxExcerptBytes)
	}
}

func TestProgramThatDoesNotExist(t *testing.T) {
	h, err := New(&Config{Exec: &Exec{Command: []string{"/does/not/exist"}}})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, h.Call(t.Context(), struct{}{}, &struct{}{}), Unreachable, "no such file")
}

func TestEndOfContextKillsProgramAndItsChildren(t *testing.T) {
	family := listen(t)
	p := newProgram(t, "family", family.env())
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Call(ctx, struct{}{}, &struct{}{}) }()
	family.await(t, "child", "parent")

	over := errors.New("the term is over")
	cancel(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
	family.wantDead(t)
}

func TestSlowProgramTimesOut(t *testing.T) {
	p := newProgram(t, "hang", nil)
	p.timeout = 50 * time.Millisecond
	wantError(t, p.Call(t.Context(), struct{}{}, &struct{}{}), TimedOut, "no answer within 50ms")
}

func TestProgramThatExitsTakesItsChildrenAlong(t *testing.T) {
	family := listen(t)
	var answer struct{ OK bool }
	if err := newProgram(t, "leaver", family.env()).Call(t.Context(), struct{}{}, &answer); err != nil {
		t.Fatal(err)
	}
	family.await(t, "child")
	family.wantDead(t)
}

func TestChildThatKeepsTheOutputOpenIsAFailure(t *testing.T) {
	family := listen(t)
	p := newProgram(t, "clinger", family.env())
	p.grace = 10 * time.Millisecond
	var answer struct{ OK bool }
	wantError(t, p.Call(t.Context(), struct{}{}, &answer), Failed, "kept its output open")
	family.await(t, "child")
	family.wantDead(t)
}

func TestCallAfterTheEndStartsNothing(t *testing.T) {
	over := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	if err := newProgram(t, "echo", nil).Call(ctx, struct{}{}, &struct{}{}); !errors.Is(err, over) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// family is the processes that have reported to the test. Each holds a connection, which the system breaks
// when the process dies: that shows their end without looking for their process numbers.
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
	return f
}

func (f *family) env() []EnvVar { return []EnvVar{{addressVariable, f.Addr().String()}} }

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
			t.Error("a process of the hook is still alive")
		}
	}
}
