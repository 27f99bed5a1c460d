// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

func TestStopLeavesNothingBehind(t *testing.T) {
	cp, err := controlplane.New(t.Context(), controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(processesOf(t, cp.Dir())); got != 4 {
		t.Errorf("%d processes are running, want etcd, API server, controller manager and reaper", got)
	}
	pids := cp.PIDs()
	if err := cp.Stop(); err != nil {
		t.Error(err)
	}
	for server, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s is still there (pid %d): %v", server, pid, err)
		}
	}
	expectNothingLeft(t, cp.Dir(), 0)
	if err := cp.Stop(); err != nil {
		t.Errorf("the second Stop returned %v", err)
	}
	if err := cp.RestartEtcd(t.Context()); err == nil || !strings.Contains(err.Error(), "has been stopped") {
		t.Errorf("RestartEtcd returned %v, want that the control plane has been stopped", err)
	}
}

func TestServerThatDiesIsReported(t *testing.T) {
	cp, err := controlplane.New(t.Context(), controlplane.Options{NoControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(cp.PIDs()["etcd"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	const want = "etcd ended unexpectedly: signal: killed"
	if err := cp.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Wait returned %v, want %q", err, want)
	}
	if err := cp.Stop(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Stop returned %v, want %q", err, want)
	}
	expectNothingLeft(t, cp.Dir(), 0)
}

func TestServerThatDoesNotStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "controlplane")
	_, err := controlplane.New(t.Context(), controlplane.Options{Dir: dir, Controllers: []string{"perpetual-motion-controller"}})
	if err == nil {
		t.Fatal("a controller that does not exist was started")
	}
	// The second part is from the server's log.
	for _, want := range []string{"kube-controller-manager ended unexpectedly: exit status 1", "is not in the list of known controllers"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", err, want)
		}
	}
	expectNothingLeft(t, dir, 0)
}

func TestStartEndsWithContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "controlplane")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := controlplane.New(ctx, controlplane.Options{Dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("New returned %v, want %v", err, context.DeadlineExceeded)
	}
	expectNothingLeft(t, dir, 0)
}

// endingVariable makes TestEnding, in a process of its own, end in one of these ways.
const endingVariable = "CONTROLPLANE_TEST_ENDING"

var endings = map[string]func(*testing.T){
	"failure":              func(t *testing.T) { t.Fatal("this test fails") },
	"panic":                func(*testing.T) { panic("this test panics") },
	"panic in a goroutine": func(*testing.T) { go panic("this goroutine panics"); select {} },
	"exit":                 func(*testing.T) { os.Exit(1) },
	"SIGINT":               func(*testing.T) { _ = syscall.Kill(os.Getpid(), syscall.SIGINT); select {} },
	"SIGKILL":              func(*testing.T) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
	"time-out":             func(*testing.T) { select {} },
}

func TestEnding(t *testing.T) {
	ending, ok := endings[os.Getenv(endingVariable)]
	if !ok {
		t.Skip("this is run by TestNoEndingOfATestLeavesAnythingBehind, in a process of its own")
	}
	cp := controlplane.Start(t, controlplane.Options{NoControllerManager: true})
	t.Log("directories:", cp.Dir(), cp.LogDir())
	ending(t)
}

var directoriesLine = regexp.MustCompile(`directories: (\S+) (\S+)`)

func TestNoEndingOfATestLeavesAnythingBehind(t *testing.T) {
	for name := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := "-test.timeout=2m"
			if name == "time-out" {
				timeout = "-test.timeout=15s"
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnding$", "-test.v", timeout)
			temporary := t.TempDir()
			cmd.Env = append(os.Environ(), endingVariable+"="+name, "TMPDIR="+temporary)
			output, err := cmd.CombinedOutput()
			if err == nil {
				t.Error("the test passed")
			}
			directories := directoriesLine.FindSubmatch(output)
			if directories == nil {
				t.Fatalf("the control plane was not started:\n%s", output)
			}
			expectNothingLeft(t, string(directories[1]), 10*time.Second)
			if entries, err := os.ReadDir(temporary); err != nil || len(entries) > 0 {
				t.Errorf("left in the directory for temporary files: %v, %v", entries, err)
			}
			if name == "failure" && !strings.Contains(string(output), "the end of "+string(directories[2])+"/kube-apiserver.log:") {
				t.Errorf("the API server's log is not in the output:\n%s", output)
			}
		})
	}
}

func TestCommandLeavesNothingBehind(t *testing.T) {
	program := filepath.Join(t.TempDir(), "controlplane")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/controlplane").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		exit   string
	}{
		{"interrupted", syscall.SIGINT, "<nil>"},
		{"terminated", syscall.SIGTERM, "<nil>"},
		{"killed", syscall.SIGKILL, "signal: killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "controlplane")
			cmd := exec.CommandContext(t.Context(), program, "--dir="+dir)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(stdout).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if want := "export KUBECONFIG='" + dir + "/kubeconfigs/admin.kubeconfig'\n"; line != want {
				t.Errorf("the output is %q, want %q", line, want)
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); (err == nil) != (test.exit == "<nil>") || (err != nil && err.Error() != test.exit) {
				t.Errorf("the command ended with %v, want %s", err, test.exit)
			}
			expectNothingLeft(t, dir, 10*time.Second)
		})
	}
}

// expectNothingLeft gives processes that nobody waits for some time to end.
func expectNothingLeft(t *testing.T, dir string, patience time.Duration) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		_, err := os.Stat(dir)
		processes := processesOf(t, dir)
		if errors.Is(err, os.ErrNotExist) && len(processes) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: directory %s (%v), processes %q", dir, err, processes)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processesOf returns the command lines of the processes that have the directory in theirs, as every server has.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir)) { // an error means that the process has ended by now
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}
