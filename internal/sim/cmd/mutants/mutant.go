// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is a seeded bug.
type mutant struct {
	// name says what is wrong, in a few words.
	name string
	// rule is the rule of the design that is left out; empty if it is a mistake
	// in keeping one.
	rule  string
	edits []edit
}

// edit replaces a text that occurs once in a file, named from the root of the
// module.
type edit struct{ file, old, mutated string }

// sources returns the edited files by name.
func (m mutant) sources(root string) (map[string]string, error) {
	edited := map[string]string{}
	for _, e := range m.edits {
		source, ok := edited[e.file]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, fmt.Errorf("mutant %q: %w", m.name, err)
			}
			source = string(raw)
		}
		if n := strings.Count(source, e.old); n != 1 {
			return nil, fmt.Errorf("mutant %q: its text occurs %d times in %s, want once: bring it up to date:\n%s", m.name, n, e.file, e.old)
		}
		edited[e.file] = strings.Replace(source, e.old, e.mutated, 1)
	}
	return edited, nil
}

// overlay writes the edited files into dir and returns the name of a file that
// tells the go command to use them.
func (m mutant) overlay(root, dir string) (string, error) {
	edited, err := m.sources(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, source := range edited {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(source), 0o600); err != nil {
			return "", fmt.Errorf("mutant %q: %w", m.name, err)
		}
		replace[filepath.Join(root, name)] = copied
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.name, err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.name, err)
	}
	return path, nil
}
