// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// checkPeakMemory fails the test if the replica ever had more memory than this, in bytes.
func checkPeakMemory(t *testing.T, r *fleet.Replica, most int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Log("how much memory a process had at most is known on Linux only")
		return
	}
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(state)) {
		var kilobytes int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			t.Logf("replica %s had at most %d MiB", r.Name(), kilobytes>>10)
			if kilobytes<<10 > most {
				t.Errorf("replica %s had %d MiB, want %d at most", r.Name(), kilobytes>>10, most>>20)
			}
			return
		}
	}
	t.Errorf("the kernel does not say how much memory replica %s had:\n%s", r.Name(), state)
}
