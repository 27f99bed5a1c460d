// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package probe

import "os/exec"

// inGroupOfItsOwn leaves cmd as it is: without process groups, its own process is what can be
// killed.
func inGroupOfItsOwn(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
