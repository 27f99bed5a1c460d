// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	long := strings.Repeat("line\n", 2*tailBytes)
	for _, test := range []struct{ name, log, want string }{
		{"short", "one\ntwo\n", "one\ntwo"},
		{"empty", "\n", "(it is empty)"},
		{"more lines than are shown", long, strings.TrimSpace(strings.Repeat("line\n", tailLines))},
		{"a line longer than what is shown", strings.Repeat("x", 2*tailBytes), strings.Repeat("x", tailBytes)},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "server.log")
			if err := os.WriteFile(path, []byte(test.log), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := tail(path); got != test.want {
				t.Errorf("tail is %q, want %q", got, test.want)
			}
		})
	}
}

func TestTailOfMissingLog(t *testing.T) {
	if got := tail(filepath.Join(t.TempDir(), "none.log")); !strings.Contains(got, "no such file") {
		t.Errorf("tail is %q, want the reason why there is none", got)
	}
}
