// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package probe

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// inGroupOfItsOwn has cmd started as the leader of a process group, which is killed as a whole
// when the time is over: killing the program alone would leave its children behind, probe after
// probe.
func inGroupOfItsOwn(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd) }
}

func killGroup(cmd *exec.Cmd) error {
	err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
