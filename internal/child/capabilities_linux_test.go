// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dropped runs f in a thread that has lost capabilities.
func dropped(t *testing.T, f func(), capabilities ...int) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&header, &sets[0])
		for _, c := range capabilities {
			sets[c/32].Effective &^= 1 << (c % 32)
		}
		if err == nil {
			err = unix.Capset(&header, &sets[0])
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestRootThatCannotKillIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root has capabilities to lose")
	}
	tests := []struct {
		name    string
		dropped []int
		refused bool
	}{
		{"nothing", nil, false},
		{"KILL", []int{unix.CAP_KILL}, true},
		{"KILL and SETUID", []int{unix.CAP_KILL, unix.CAP_SETUID}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dropped(t, func() {
				err := Supported()
				if refused := err != nil && strings.Contains(err.Error(), "need the capability KILL"); refused != tt.refused {
					t.Errorf("got %v", err)
				}
			}, tt.dropped...)
		})
	}
}
