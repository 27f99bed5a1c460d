// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

var update = flag.Bool("update", false, "write the pictures of the documentation")

// chrome is the context of the browser that all tests share; nil where there is none.
var chrome context.Context

// candidates are the programs that are looked for.
var candidates = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	path := findChrome()
	if path == "" {
		return m.Run()
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox, // a container may run as root, and the page is ours
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("lang", "en-GB"),
		chromedp.Env("LANGUAGE=en_GB", "TZ=UTC"),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, end := chromedp.NewContext(allocator)
	defer end()
	if err := chromedp.Do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", path, err)
		return 1
	}
	chrome = ctx //nolint:fatcontext // once, before any test
	return m.Run()
}

// findChrome returns the path of a browser; empty if there is none.
func findChrome() string {
	if path := os.Getenv("CHROME"); path != "" {
		return path
	}
	for _, name := range candidates {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// needChrome skips a test where there is no browser, but not where the tests have to
// run.
func needChrome(t *testing.T) {
	t.Helper()
	const missing = "there is no Chromium or Chrome in the PATH: install one (apt-get install chromium), or name it in CHROME"
	switch {
	case chrome != nil:
	case os.Getenv("CI") != "":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}
