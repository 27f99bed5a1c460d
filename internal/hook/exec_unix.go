// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package hook

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// inGroupOfItsOwn has cmd started as the leader of a process group, which is killed as a whole when the
// command's context ends: killing the program alone would leave its children at work.
func inGroupOfItsOwn(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

// killGroup kills what is left of the process group of cmd. After cmd.Wait the leader's number is free to
// be used again, but not while the group has a member; for the moment between the two to matter, the
// system would have to run through all its process numbers in it.
func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
