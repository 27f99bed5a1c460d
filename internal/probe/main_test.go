// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable, if it is set, makes the test binary a program that is probed; its value says
// which.
const roleVariable = "PROBE_TEST_ROLE"

// addressVariable tells a program where the test listens. Its connection breaks when it dies.
const addressVariable = "PROBE_TEST_ADDRESS"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is the main function of a program.
func play(role string) (code int) {
	switch role {
	case "fit":
		fmt.Println("not told to anybody")
	case "unfit":
		fmt.Fprint(os.Stderr, strings.Repeat("noise ", 10_000))
		fmt.Print("the disk\nis full")
		return 3
	case "family":
		spawn("child", nil)
		report("parent")
		stay()
	case "leaver":
		spawn("child", nil)
	case "clinger":
		spawn("child", os.Stdout)
	case "child":
		report("child")
		os.Stdin.Close() // tells spawn
		stay()
	}
	return 0
}

// stay never returns. (A bare select would be taken for a deadlock, and end the process.)
func stay() {
	for {
		time.Sleep(time.Hour)
	}
}

// spawn starts a process that outlives this one, and returns once the test knows of it.
func spawn(role string, stdout *os.File) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), roleVariable+"="+role)
	child.Stdout = stdout
	stdin, _ := child.StdinPipe()
	if err := child.Start(); err != nil {
		panic(err)
	}
	for err := error(nil); err == nil; {
		_, err = stdin.Write([]byte{0}) // until the child closes its end
	}
}

func report(who string) {
	conn, err := net.Dial("tcp", os.Getenv(addressVariable))
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(conn, who)
}

// made returns the probe of a configuration that is valid.
func made(t *testing.T, c Config) Probe {
	t.Helper()
	if errs := c.Validate(nil); len(errs) > 0 {
		t.Fatalf("the configuration is refused: %v", errs)
	}
	p, err := New(&c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// want fails the test unless the error has this text; empty wants none.
func want(t *testing.T, err error, text string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != text {
		t.Errorf("got  %q\nwant %q", got, text)
	}
}

// within is a context that ends after so long.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
