// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package fleet

import "syscall"

// dieWithParent does nothing here: there is no such thing outside Linux, and only Close ends the process.
func dieWithParent(*syscall.SysProcAttr) {}
