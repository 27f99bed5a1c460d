// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "syscall"

// dieWithParent has the kernel kill the process when the thread that forked it ends.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGKILL }
