// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sourceTree is where the pages are.
const sourceTree = "../.."

// What the pages and the plots of this source tree say is what its results file says, and nothing else.
func TestPagesSayWhatWasMeasured(t *testing.T) {
	r, err := readResults(filepath.Join(sourceTree, resultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s is not there: make bench", resultsFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Quick {
		t.Errorf("%s is of a run with --quick, which measures nothing: make bench", resultsFile)
	}
	made, err := r.render(sourceTree)
	if err != nil {
		t.Fatal(err)
	}
	if made[resultsFile], err = r.encode(); err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		if got, err := os.ReadFile(filepath.Join(sourceTree, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s makes it (error %v): make bench-render", name, resultsFile, err)
		}
	}
	if stale, err := stalePlots(sourceTree, made); err != nil || len(stale) > 0 {
		t.Errorf("nothing was measured for %v (error %v): make bench-render", stale, err)
	}
}

// Every part has its place in the documentation, and the README has the figures that matter most.
func TestPagesHaveAllBlocks(t *testing.T) {
	want := map[string][]string{readme: {"highlights"}, benchmarks: append([]string{"run"}, names(parts())...)}
	for name, blocks := range want {
		page, err := os.ReadFile(filepath.Join(sourceTree, name))
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]int{}
		for _, found := range block.FindAllSubmatch(page, -1) {
			there[string(found[2])]++
		}
		for _, b := range blocks {
			if there[b] != 1 {
				t.Errorf("%s has the block %s %d times, not once", name, b, there[b])
			}
		}
	}
}

// A target that was missed has its reason on the page, in words that somebody has written.
func TestMissedTargetsAreExplained(t *testing.T) {
	r, err := readResults(filepath.Join(sourceTree, resultsFile))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(sourceTree, benchmarks))
	if err != nil {
		t.Fatal(err)
	}
	why, err := explanations(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range unexplained(why, r) {
		t.Errorf("%s: under %q, say why %s is %s: name it %q", benchmarks, missedHeading, m.label(), quantity(m.Value, m.Unit), title(m.Name))
	}
}

func TestUnexplained(t *testing.T) {
	r := madeUp() // in which requests, one median and one time miss their targets
	page := "# Benchmarks\n" + missedHeading + "\njoin_time: slow. client-go requests, as a multiple of ours, 200 shards, 10 replicas: few.\n## Other\ngap_p50\n"
	why, err := explanations([]byte(page))
	if err != nil {
		t.Fatal(err)
	}
	missing := unexplained(why, r)
	if len(missing) != 3 {
		t.Errorf("%d figures are not explained, want the 3 medians: %v", len(missing), missing)
	}
	for _, m := range missing {
		if m.Name != "gap_p50" {
			t.Errorf("%s is not explained", m.label())
		}
	}
	if _, err := explanations([]byte("# Benchmarks\n")); err == nil {
		t.Error("there is no heading, and no error")
	}
}

const missedHeading = "### Missed, and why"

// explanations are what a page says of missed targets.
func explanations(page []byte) (string, error) {
	_, after, found := strings.Cut(string(page), missedHeading+"\n")
	if !found {
		return "", fmt.Errorf("there is no heading %q", missedHeading)
	}
	why, _, _ := strings.Cut(after, "\n#")
	return strings.Join(strings.Fields(why), " "), nil
}

// unexplained are figures that were measured, miss their targets, and are named neither by title nor by name.
func unexplained(why string, r results) []miss {
	return slices.DeleteFunc(judge(names(parts()), r.Parts).missed, func(m miss) bool {
		return strings.Contains(why, m.Name) || strings.Contains(why, title(m.Name))
	})
}

func TestFillBlocks(t *testing.T) {
	blocks := map[string]string{"one": "| new |\n", "two": "2\n"}
	page := "before\n<!-- bench:one, made by make bench -->\n| old |\n<!-- /bench -->\nbetween\n<!-- bench:two -->\n<!-- /bench -->\nafter\n"
	want := "before\n<!-- bench:one, made by make bench -->\n| new |\n<!-- /bench -->\nbetween\n<!-- bench:two -->\n2\n<!-- /bench -->\nafter\n"
	if got, err := fillBlocks([]byte(page), blocks); err != nil || string(got) != want {
		t.Errorf("the page is\n%s\nerror %v, want\n%s", got, err, want)
	}
	if _, err := fillBlocks([]byte("<!-- bench:three -->\n<!-- /bench -->\n"), blocks); err == nil || !strings.Contains(err.Error(), "three") {
		t.Errorf("an unknown block: %v", err)
	}
}

// A tree has the plots that there are figures for, and no others.
func TestWriteRemovesStalePlots(t *testing.T) {
	tree := t.TempDir()
	r := madeUp()
	if err := r.write(tree); err != nil {
		t.Fatal(err)
	}
	r.Parts = r.Parts[:2]
	if err := r.write(tree); err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob(filepath.Join(tree, imagesDir, "*"))
	if err != nil || len(there) != 1 || filepath.Base(there[0]) != "bench-requests.svg" {
		t.Errorf("the plots are %v, error %v", there, err)
	}
}
