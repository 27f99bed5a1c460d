// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"strings"
	"testing"
	"time"
)

// The short version of the fault tests: one run of each kind that hardly lasts longer than it needs to end a session.
// Nothing here depends on how fast the machine is but the limits of the waits.
func TestFaults(t *testing.T) {
	const sideBySide = 3
	table, err := Run(t.Context(), Options{
		Runs: 1, Longest: time.Second, SideBySide: sideBySide, Groups: 1, Dir: t.TempDir(), Progress: t.Output(),
	})
	if err != nil {
		t.Error(err)
	}
	var out strings.Builder
	if err := table.Print(&out); err != nil {
		t.Error(err)
	}
	t.Log("\n" + out.String())
	if err := table.Err(); err != nil {
		t.Error(err)
	}
}
