// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// A terminal sends Ctrl-C to the whole process group: all that the command has started gets it, too.
func TestSignalRemovesAllAndIsNoError(t *testing.T) {
	program := filepath.Join(t.TempDir(), "localcluster")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		await  func(t *testing.T, stdout io.Reader, temporary string)
	}{
		{"interrupted when it is ready", syscall.SIGINT, untilReady},
		{"terminated when it is ready", syscall.SIGTERM, untilReady},
		{"interrupted when it has started servers", syscall.SIGINT, untilThereIs("shardctl-controlplane-*/logs/kube-apiserver.log")},
		{"interrupted when it builds images", syscall.SIGINT, untilThereIs("shardctl-controlplane-*/images/go-build*")},
	} {
		t.Run(test.name, func(t *testing.T) {
			temporary := t.TempDir()
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), "TMPDIR="+temporary)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			test.await(t, stdout, temporary)
			if err := syscall.Kill(-cmd.Process.Pid, test.signal); err != nil {
				t.Errorf("it has ended by itself: %v", err)
			}
			err = cmd.Wait()
			if strings.Contains(stderr.String(), "needs root") {
				t.Skip(stderr.String())
			}
			if err != nil {
				t.Errorf("it ended with %v, want 0:\n%s", err, stderr.String())
			}
			if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
				t.Errorf("left in the directory for temporary files: %v, %v", left, err)
			}
		})
	}
}

func untilReady(t *testing.T, stdout io.Reader, _ string) {
	t.Helper()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "export KUBECONFIG=") {
		t.Errorf("the first line is %q", line)
	}
}

// untilThereIs waits for a file in the command's directory for temporary files.
func untilThereIs(pattern string) func(*testing.T, io.Reader, string) {
	return func(t *testing.T, _ io.Reader, temporary string) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			found, err := filepath.Glob(filepath.Join(temporary, pattern))
			return len(found) > 0, err
		})
		if err != nil {
			t.Errorf("there is no %s: %v", pattern, err)
		}
	}
}
