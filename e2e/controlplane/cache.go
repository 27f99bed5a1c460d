// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// CacheVariable is the environment variable that says where the binaries are kept. Default: shardctl in os.UserCacheDir().
const CacheVariable = "SHARDCTL_CACHE"

const (
	unfinished    = "building-"         // begins the name of a directory that is being built
	keepUnused    = 30 * 24 * time.Hour // what was not used for so long is removed at the next build
	lockRetryWait = 200 * time.Millisecond
)

// cache keeps directories of binaries by key. A directory appears complete, by a rename, and is never changed afterwards: it
// takes a lock to build one, none to use one.
type cache struct {
	root   string
	output io.Writer
}

func cacheRoot() (string, error) {
	dir := os.Getenv(CacheVariable)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no place for the binaries: set %s to a directory: %w", CacheVariable, err)
		}
		dir = filepath.Join(user, "shardctl")
	}
	root, err := filepath.Abs(filepath.Join(dir, "servers"))
	if err != nil {
		return "", err
	}
	return root, os.MkdirAll(root, 0o755)
}

// get returns the directory of a key, filled by build unless it is there already. name is what the output says is being built.
func (c cache) get(ctx context.Context, key, name string, build func(ctx context.Context, dir string) error) (string, error) {
	dir := filepath.Join(c.root, key)
	if touch(dir) {
		return dir, nil
	}
	lock, err := c.lock(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // it ends with this process at the latest
	if touch(dir) {
		return dir, nil // built by the process that had the lock before
	}
	fmt.Fprintf(c.output, "building %s into %s: this takes minutes the first time\n", name, dir)
	if err := c.removeUnused(); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(c.root, unfinished)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // after the rename there is nothing to remove
	if err := build(ctx, temporary); err != nil {
		return "", err
	}
	return dir, os.Rename(temporary, dir)
}

// touch says whether the directory is there, and if so notes that it is in use.
func touch(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

func (c cache) lock(ctx context.Context) (*flock.Flock, error) {
	lock := flock.New(filepath.Join(c.root, "lock"))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		fmt.Fprintf(c.output, "waiting for another process that is building: it holds %s\n", lock.Path())
		_, err = lock.TryLockContext(ctx, lockRetryWait)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Path(), err), lock.Close())
	}
	return lock, nil
}

// removeUnused removes old directories, and what builds that were killed have left.
func (c cache) removeUnused() error {
	entries, err := os.ReadDir(c.root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		old := time.Since(info.ModTime()) > keepUnused
		if entry.IsDir() && (old || strings.HasPrefix(entry.Name(), unfinished)) {
			if err := os.RemoveAll(filepath.Join(c.root, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
