// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleVariable, if it is set, makes the test binary a hook program; its value says which.
const roleVariable = "HOOK_TEST_ROLE"

// addressVariable tells a hook program where the test listens. Its connection breaks when it dies.
const addressVariable = "HOOK_TEST_ADDRESS"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

// play is the main function of a hook program.
func play(role string) (code int) {
	switch role {
	case "echo":
		request, _ := io.ReadAll(os.Stdin)
		json.NewEncoder(os.Stdout).Encode(map[string]any{
			"request": json.RawMessage(request), "args": os.Args[1:], "extra": os.Getenv("EXTRA"),
		})
	case "term":
		json.NewEncoder(os.Stdout).Encode(map[string]any{
			"shard": os.Getenv(variableShard), "epoch": os.Getenv(variableEpoch), "token": os.Getenv(variableToken),
		})
	case "run":
		json.NewEncoder(os.Stdout).Encode(map[string]any{"key": os.Getenv(variableKey), "scheduled": os.Getenv(variableScheduled)})
	case "print":
		fmt.Print(os.Args[1])
	case "fail":
		fmt.Print(`{"ok": true}`)
		fmt.Fprint(os.Stderr, strings.Repeat("noise ", 10_000), "the reason")
		return 3
	case "flood":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<20)); err != nil {
				stay() // neither the broken pipe nor anything else makes this one go
			}
		}
	case "family":
		spawn("child", nil)
		report("parent")
		stay()
	case "hang":
		stay()
	case "leaver":
		spawn("child", nil)
		fmt.Print(`{"ok": true}`)
	case "clinger":
		spawn("child", os.Stdout)
		fmt.Print(`{"ok": true}`)
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

// newProgram returns the hook program of a role.
func newProgram(t *testing.T, role string, env []EnvVar, args ...string) *program {
	t.Helper()
	h, err := New(&Config{Exec: &Exec{
		Command: append([]string{os.Args[0]}, args...),
		// The race detector would have each process linger for a second before it exits.
		Env:     append(env, EnvVar{roleVariable, role}, EnvVar{"GORACE", "atexit_sleep_ms=0"}),
		Timeout: "1m",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return h.(*program)
}
