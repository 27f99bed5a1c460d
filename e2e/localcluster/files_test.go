// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWriteAtomically(t *testing.T) {
	dir := t.TempDir()
	content := func() map[string]string {
		files := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			name, _ := filepath.Rel(dir, path)
			if err != nil || strings.HasPrefix(name, "..") || entry.Type() != os.ModeSymlink {
				return err
			}
			text, err := os.ReadFile(path)
			files[name] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	write := func(files map[string]string) {
		t.Helper()
		volume := map[string]volumeFile{}
		for name, text := range files {
			volume[name] = volumeFile{text, 0o644}
		}
		if err := writeAtomically(dir, volume); err != nil {
			t.Fatal(err)
		}
	}
	current := func() string {
		t.Helper()
		target, err := os.Readlink(filepath.Join(dir, currentData))
		if err != nil {
			t.Fatal(err)
		}
		return target
	}

	write(map[string]string{"a": "1", "b": "2"})
	first := current()
	if got := content(); len(got) != 2 || got["a"] != "1" || got["b"] != "2" {
		t.Errorf("the volume has %v", got)
	}
	write(map[string]string{"a": "1", "b": "2"})
	if current() != first {
		t.Error("the same content was written again")
	}
	write(map[string]string{"a": "3", "c": "4"})
	if got := content(); len(got) != 2 || got["a"] != "3" || got["c"] != "4" {
		t.Errorf("the volume has %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, first)); !os.IsNotExist(err) {
		t.Errorf("the old content is still there: %v", err)
	}
}

func TestWriteAtomicallyInDirectories(t *testing.T) {
	dir := t.TempDir()
	if err := writeAtomically(dir, map[string]volumeFile{"deep/down/file": {"text", 0o400}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "deep", "down", "file")
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "text" {
		t.Errorf("the file has %q, %v", text, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o400 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

func TestWithin(t *testing.T) {
	for _, test := range []struct{ subPath, want, refused string }{
		{"", "/volume", ""},
		{"a/b", "/volume/a/b", ""},
		{"a/../b", "/volume/b", ""},
		{"../volumes", "", "leads out of the volume"},
		{"a/../../etc", "", "leads out of the volume"},
	} {
		got, err := within("/volume", test.subPath)
		if got != test.want || (err != nil) != (test.refused != "") {
			t.Errorf("within(%q) = %q, %v; want %q", test.subPath, got, err, test.want)
		}
	}
}

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"plain":       "plain",
		"$(A)":        "1",
		"x$(A)y$(A)z": "x1y1z",
		"$(B)":        "$(A)", // once
		"$$(A)":       "$(A)",
		"$$$(A)":      "$1",
		"$(C)":        "$(C)",
		"$A $(A $":    "$A $(A $",
	} {
		if got := expand(text, values); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestSeekLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("one\ntwo\nthree\nfour"), 0o600); err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[int]string{0: "", 1: "four", 3: "two\nthree\nfour", 9: "one\ntwo\nthree\nfour"} {
		log, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := seekLines(log, lines); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(log); err != nil || string(got) != want {
			t.Errorf("of %d lines there is %q, %v; want %q", lines, got, err, want)
		}
		_ = log.Close()
	}
}

func TestAddressesAreNotUsedAgainSoon(t *testing.T) {
	n := &nodeNetwork{taken: map[int]bool{}, next: firstPodHost}
	var hosts []int
	for range lastPodHost - firstPodHost + 1 {
		host, err := n.take()
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	if slices.Sort(hosts); len(slices.Compact(hosts)) != lastPodHost-firstPodHost+1 {
		t.Errorf("an address was given away twice: %v", hosts)
	}
	if host, err := n.take(); err == nil {
		t.Errorf("%d was given away twice", host)
	}
	delete(n.taken, 17)
	if host, err := n.take(); err != nil || host != 17 {
		t.Errorf("the next one is %d, %v; want 17, which is free", host, err)
	}
}
