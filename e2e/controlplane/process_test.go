// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// startShell runs a shell script as a server.
func startShell(t *testing.T, script string, died func(error)) *process {
	t.Helper()
	dir := t.TempDir()
	p, err := command{
		name: "script", path: "/bin/sh", args: []string{"-c", script}, log: filepath.Join(dir, "script.log"), home: dir,
	}.start(died)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.signal(syscall.SIGKILL) })
	return p
}

func TestProcessStoppedIsNotReported(t *testing.T) {
	p := startShell(t, "while :; do sleep 0.01; done", func(err error) { t.Errorf("reported: %v", err) })
	if err := p.stop(t.Context()); err != nil {
		t.Error(err)
	}
	<-p.exited
}

func TestProcessEndingByItselfIsReported(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"with an error", "echo no such flag; exit 3", "script ended unexpectedly: exit status 3"},
		{"without an error", "echo no such flag", "script ended unexpectedly: exit status 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reported := make(chan error, 1)
			startShell(t, test.script, func(err error) { reported <- err })
			err := <-reported
			if !strings.Contains(err.Error(), test.want) || !strings.HasSuffix(err.Error(), "\nno such flag") {
				t.Errorf("reported: %v; want %q, with the log", err, test.want)
			}
		})
	}
}

func TestProcessIgnoringSIGTERMIsKilled(t *testing.T) {
	p := startShell(t, `trap "" TERM; echo ready; while :; do sleep 0.01; done`, func(err error) { t.Errorf("reported: %v", err) })
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return tail(p.log) == "ready", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.stop(ctx); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(p.pid(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal 0 to the process returns %v, want %v", err, syscall.ESRCH)
	}
}

// The kernel would kill the process together with the thread that forked it.
func TestProcessOutlivesOtherThreads(t *testing.T) {
	p := startShell(t, "while :; do sleep 0.01; done", func(err error) { t.Errorf("reported: %v", err) })
	for range 100 {
		var threads sync.WaitGroup
		for range 8 {
			threads.Go(runtime.LockOSThread) // a thread ends with a goroutine that is still locked to it
		}
		threads.Wait()
	}
	if err := p.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestProcessSeesNothingOfTheEnvironment(t *testing.T) {
	t.Setenv("ETCD_LISTEN_CLIENT_URLS", "http://0.0.0.0:2379")
	ended := make(chan error, 1)
	p := startShell(t, "/usr/bin/env", func(err error) { ended <- err })
	<-ended
	log, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "ETCD_") || !strings.Contains(string(log), "HOME="+p.home) {
		t.Errorf("the environment is:\n%s", log)
	}
}
