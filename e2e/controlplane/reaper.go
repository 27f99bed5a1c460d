// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// reaper is the process that removes the directory when this process is gone, and the leader of the servers' process group.
type reaper struct {
	cmd    *exec.Cmd
	parent io.Closer // the end of the pipe that only this process has
	stderr bytes.Buffer
	dir    string
}

func startReaper(path, dir string) (*reaper, error) {
	r := &reaper{cmd: exec.Command(path, dir), dir: dir}
	r.cmd.Stderr = &r.stderr
	r.cmd.Env = []string{}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start reaper: %w", err)
	}
	r.parent = stdin
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start reaper: %w", err)
	}
	return r, nil
}

func (r *reaper) group() int { return r.cmd.Process.Pid }

// reap lets the reaper do its work now, and waits until it has.
func (r *reaper) reap() error {
	if err := r.parent.Close(); err != nil {
		return fmt.Errorf("close the reaper's pipe: %w", err)
	}
	// It kills itself together with its group, so that its status says nothing. The directory does.
	_ = r.cmd.Wait()
	if _, err := os.Stat(r.dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s was not removed: %s", r.dir, bytes.TrimSpace(r.stderr.Bytes()))
	}
	return nil
}
