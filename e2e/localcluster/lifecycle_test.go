// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/localcluster"
)

const (
	victimVariable = "LOCALCLUSTER_VICTIM"
	readyLine      = "ready: "
)

// TestVictim is what TestNothingOutlivesAKill runs in a process of its own.
func TestVictim(t *testing.T) {
	if os.Getenv(victimVariable) == "" {
		t.Skip("it is run by another test")
	}
	c := &cluster{Cluster: localcluster.Start(t, localcluster.Options{Nodes: 1, Images: testImage})}
	var err error
	if c.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	c.running(t, nil)
	fmt.Println(readyLine + c.ControlPlane().Dir())
	<-t.Context().Done() // it does not get there
}

func TestNothingOutlivesAKill(t *testing.T) {
	victim := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$", "-test.v", "-test.timeout=5m")
	victim.Env = append(os.Environ(), victimVariable+"=1")
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dir := ""
	lines := bufio.NewScanner(output)
	for dir == "" && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "--- SKIP") {
			_ = victim.Wait()
			t.Skip("see TestVictim")
		}
		_, dir, _ = strings.Cut(lines.Text(), readyLine)
	}
	children := childrenOf(t, victim.Process.Pid)
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed, as it says
	if dir == "" || len(children) < 6 {
		t.Fatalf("before the kill there were the directory %q and the processes %v, want those of five servers and a container", dir, children)
	}
	eventually(t, "all of its processes are gone", func(context.Context) (bool, error) {
		for _, pid := range children {
			if syscall.Kill(pid, 0) == nil {
				return false, nil
			}
		}
		return true, nil
	})
	eventually(t, "its directory is gone", func(context.Context) (bool, error) {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist), nil
	})
}

// childrenOf returns the processes that any of a process' threads has started.
func childrenOf(t *testing.T, pid int) (children []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	return children
}
