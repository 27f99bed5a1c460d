// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"os"
)

// Supported tells why exec roles cannot be run here; nil if they can.
func Supported() error {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return fmt.Errorf("exec roles need /proc, to find all processes of a program: mount it: %w", err)
	}
	return canEndAll()
}
