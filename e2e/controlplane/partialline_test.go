// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRemovePartialLine(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, test := range []struct{ name, content, want string }{
		{"nothing", "", ""},
		{"whole lines", "one\ntwo\n", "one\ntwo\n"},
		{"a partial line", "one\ntw", "one\n"},
		{"a long partial line", "one\n" + long, "one\n"},
		{"a long whole line", long + "\n", long + "\n"},
		{"nothing but a partial line", long, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := removePartialLine(path); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("%d bytes are left, want %d", len(got), len(test.want))
			}
		})
	}
}

func TestRemovePartialLineOfAFileThatIsNotThere(t *testing.T) {
	if err := removePartialLine(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Error(err)
	}
}
