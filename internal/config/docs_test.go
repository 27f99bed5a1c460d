// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever copies a configuration from the documentation gets one that is valid.
func TestConfigurationsInTheDocumentationAreValid(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line, block := range blocks(string(text)) {
			if !strings.HasPrefix(block, "apiVersion: shardctl.dev/") || strings.Contains(block, "...") { // something is left out
				continue
			}
			found++
			if _, err := Parse(fmt.Sprintf("%s, the block in line %d", path, line), []byte(block)); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 5 {
		t.Errorf("%d configurations were found, want more: are they told from the text?", found)
	}
}

// blocks are the indented and the fenced blocks of a page, without their indentation, by the
// lines in which they begin.
func blocks(page string) map[int]string {
	const indent, fence = "    ", "```"
	all := map[int]string{}
	begin, fenced := 0, false
	for i, line := range strings.Split(page, "\n") {
		indented, isIndented := strings.CutPrefix(line, indent)
		switch isFence := strings.HasPrefix(line, fence); {
		case isFence:
			begin, fenced = i+2, !fenced
		case fenced:
			all[begin] += line + "\n"
		case isIndented:
			if begin == 0 {
				begin = i + 1
			}
			all[begin] += indented + "\n"
		case line == "" && begin > 0:
			all[begin] += "\n"
		default:
			begin = 0
		}
	}
	return all
}
