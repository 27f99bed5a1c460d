// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package terminationlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// fileWith makes a file, as the kubelet does before it starts a container.
func fileWith(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "termination-log")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	path := fileWith(t, "")
	for _, text := range []string{"one", "two\n", "three\nfour"} {
		if err := Append(path, text); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := content(t, path), "one\ntwo\nthree\nfour\n"; got != want {
		t.Errorf("the file has %q, want %q", got, want)
	}
}

func TestAppendIsBounded(t *testing.T) {
	path := fileWith(t, "")
	if err := Append(path, strings.Repeat("é", MaxBytes)); err != nil {
		t.Fatal(err)
	}
	got := content(t, path)
	if len(got) > MaxBytes || len(got) < MaxBytes-1 {
		t.Errorf("%d bytes were written, want nearly %d and no more", len(got), MaxBytes)
	}
	if !utf8.ValidString(got) || !strings.HasSuffix(got, "é\n") {
		t.Errorf("the text ends in %q: a character was cut, or the line does not end", got[len(got)-4:])
	}
}

func TestAppendMakesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent")
	if err := Append(path, "text"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Append: %v, want %v", err, os.ErrNotExist)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
}

func TestAppendRefusesWhatIsNoFile(t *testing.T) {
	if err := Append(t.TempDir(), "text"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Append to a directory: %v", err)
	}
}

func TestAppendCanBeSwitchedOff(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(Off, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Append(Off, "text"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, Off); got != "" {
		t.Errorf("a file named %s got %q", Off, got)
	}
}
