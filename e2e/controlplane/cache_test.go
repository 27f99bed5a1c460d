// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// writeBinary stands in for a build.
func writeBinary(_ context.Context, dir string) error {
	return os.WriteFile(filepath.Join(dir, "etcd"), []byte("binary"), 0o755)
}

func mustNotBuild(context.Context, string) error { return errors.New("built again") }

func TestCacheBuildsOnce(t *testing.T) {
	var output bytes.Buffer
	c := cache{root: t.TempDir(), output: &output}
	built, err := c.get(t.Context(), "key", "etcd v3", writeBinary)
	if err != nil {
		t.Fatal(err)
	}
	if want := "building etcd v3 into " + built; !strings.Contains(output.String(), want) {
		t.Errorf("output is %q, want it to contain %q", output.String(), want)
	}
	cached, err := c.get(t.Context(), "key", "etcd v3", mustNotBuild)
	if err != nil || cached != built {
		t.Errorf("the second get returned %q, %v; want %q", cached, err, built)
	}
	if _, err := os.Stat(filepath.Join(built, "etcd")); err != nil {
		t.Error(err)
	}
}

func TestCacheOthersWaitForTheBuilder(t *testing.T) {
	root := t.TempDir()
	building := make(chan struct{})
	finish := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		_, err := cache{root: root, output: io.Discard}.get(t.Context(), "key", "etcd", func(ctx context.Context, dir string) error {
			close(building)
			<-finish
			return writeBinary(ctx, dir)
		})
		return err
	})
	<-building
	// The second one says that it waits, which is what lets the first one finish.
	waiting := writerFunc(func(text []byte) (int, error) {
		if strings.HasPrefix(string(text), "waiting for another process") {
			close(finish)
		}
		return len(text), nil
	})
	if _, err := (cache{root: root, output: waiting}).get(t.Context(), "key", "etcd", mustNotBuild); err != nil {
		t.Error(err)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(text []byte) (int, error) { return f(text) }

func TestCacheWaitEndsWithContext(t *testing.T) {
	c := cache{root: t.TempDir(), output: io.Discard}
	lock, err := c.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.get(ctx, "key", "etcd", mustNotBuild); !errors.Is(err, context.Canceled) {
		t.Errorf("get returned %v, want %v", err, context.Canceled)
	}
}

func TestCacheFailedBuildLeavesNothing(t *testing.T) {
	c := cache{root: t.TempDir(), output: io.Discard}
	broken := errors.New("does not compile")
	_, err := c.get(t.Context(), "key", "etcd", func(ctx context.Context, dir string) error {
		return errors.Join(writeBinary(ctx, dir), broken)
	})
	if !errors.Is(err, broken) {
		t.Errorf("get returned %v, want %v", err, broken)
	}
	if left := directories(t, c.root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCacheRemovesWhatIsNotUsed(t *testing.T) {
	c := cache{root: t.TempDir(), output: io.Discard}
	for name, age := range map[string]time.Duration{
		"old":                keepUnused + time.Hour,
		"recent":             keepUnused - time.Hour,
		unfinished + "12345": time.Minute,
	} {
		dir := filepath.Join(c.root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		then := time.Now().Add(-age)
		if err := os.Chtimes(dir, then, then); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.get(t.Context(), "new", "etcd", writeBinary); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(directories(t, c.root), " "), "new recent"; got != want {
		t.Errorf("the cache has %q, want %q", got, want)
	}
}

func directories(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}
