// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Where things are in the source tree.
const (
	resultsFile = "docs/benchmarks/results.json"
	imagesDir   = "docs/images"
	readme      = "README.md"
	benchmarks  = "docs/benchmarks.md"
)

// pages have blocks of figures in them, and nothing else in them is made from the results.
func pages() []string { return []string{readme, benchmarks} }

// block is what stands between two comments of a page. The first of them names it.
var block = regexp.MustCompile(`(?s)(<!-- bench:([a-z-]+)[^>]*-->\n).*?(<!-- /bench -->)`)

// write puts the results, the plots and the blocks of the pages into a source tree. Pages that are not there are left alone: the
// tree may be an empty directory.
func (r results) write(tree string) error {
	text, err := r.encode()
	if err != nil {
		return err
	}
	made, err := r.render(tree)
	if err != nil {
		return err
	}
	made[resultsFile] = text
	for name, content := range made {
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			return err
		}
	}
	return removeStale(tree, made)
}

// render returns the content of all plots, and of the pages of a tree with the blocks that belong into them, by name.
func (r results) render(tree string) (map[string][]byte, error) {
	made, err := r.plots()
	if err != nil {
		return nil, err
	}
	blocks := r.blocks()
	for _, name := range pages() {
		page, err := os.ReadFile(filepath.Join(tree, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if made[name], err = fillBlocks(page, blocks); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return made, nil
}

// fillBlocks replaces the blocks of a page.
func fillBlocks(page []byte, blocks map[string]string) ([]byte, error) {
	var unknown []string
	page = block.ReplaceAllFunc(page, func(found []byte) []byte {
		parts := block.FindSubmatch(found)
		text, ok := blocks[string(parts[2])]
		if !ok {
			unknown = append(unknown, string(parts[2]))
		}
		return slices.Concat(parts[1], []byte(text), parts[3])
	})
	if unknown != nil {
		return nil, fmt.Errorf("nothing is made for the block %s", strings.Join(unknown, ", "))
	}
	return page, nil
}

// stalePlots are those of a tree that these results have no figures for.
func stalePlots(tree string, made map[string][]byte) ([]string, error) {
	there, err := filepath.Glob(filepath.Join(tree, plotFile("*")))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(there, func(path string) bool {
		_, ok := made[imagesDir+"/"+filepath.Base(path)]
		return ok
	}), nil
}

func removeStale(tree string, made map[string][]byte) error {
	stale, err := stalePlots(tree, made)
	for _, path := range stale {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
