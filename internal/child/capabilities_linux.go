// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// canEndAll fails if a program could become another user, whose processes this one may not kill: as root, it
// needs no more than to call setuid. Without root the guardian sees to it: see becomeGuardian.
func canEndAll() error {
	if os.Geteuid() != 0 {
		return nil
	}
	changes, err := capable(unix.CAP_SETUID)
	if err != nil {
		return err
	}
	kills, err := capable(unix.CAP_KILL)
	if err == nil && changes && !kills {
		err = errors.New("exec roles need the capability KILL, to end programs that change their user: " +
			"add it to the container, drop SETUID, or do not run as root")
	}
	return err
}

// capable tells whether the thread has a capability: see capabilities(7).
func capable(capability int) (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return false, fmt.Errorf("reading this process's capabilities: %w", err)
	}
	return sets[capability/32].Effective&(1<<(capability%32)) != 0, nil
}
