// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package controlplane

import "syscall"

// dieWithParent does nothing here: there is no such thing outside Linux, and the reaper does it a moment later.
func dieWithParent(*syscall.SysProcAttr) {}
