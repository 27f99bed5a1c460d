// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names within a volume, as a kubelet's are: programs know them, and skip or watch them.
const (
	currentData = "..data"
	nextData    = "..data_tmp"
	dataFormat  = "..2006_01_02_15_04_05.*"
)

// writeAtomically makes a directory show these files, all of them at once: ..data is a symbolic link to a directory that is
// never changed but replaced, and each name is one into ..data. It does nothing if they are there already.
func writeAtomically(dir string, files map[string]volumeFile) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // whoever the container runs as may read it
		return err
	}
	old, err := os.Readlink(filepath.Join(dir, currentData))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if old != "" && shows(filepath.Join(dir, old), files) {
		return nil
	}
	data, err := writeData(dir, files)
	if err != nil {
		return err
	}
	if err := os.Symlink(filepath.Base(data), filepath.Join(dir, nextData)); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, nextData), filepath.Join(dir, currentData)); err != nil {
		return err
	}
	if err := linkNames(dir, files); err != nil {
		return err
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, old))
}

// shows tells whether a directory has exactly these files.
func shows(dir string, files map[string]volumeFile) bool {
	count := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		count++
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, ok := files[name]; !ok || want.content != string(content) {
			return errors.New("it differs")
		}
		return nil
	})
	return err == nil && count == len(files)
}

func writeData(dir string, files map[string]volumeFile) (string, error) {
	data, err := os.MkdirTemp(dir, time.Now().UTC().Format(dataFormat))
	if err != nil {
		return "", err
	}
	if err := os.Chmod(data, 0o755); err != nil { //nolint:gosec // as above
		return "", err
	}
	for name, file := range files {
		path := filepath.Join(data, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // as above
			return "", err
		}
		if err := os.WriteFile(path, []byte(file.content), file.mode); err != nil {
			return "", err
		}
		if err := os.Chmod(path, file.mode); err != nil { // whatever the umask
			return "", err
		}
	}
	return data, nil
}

// linkNames makes the links that are missing and removes those that lead nowhere.
func linkNames(dir string, files map[string]volumeFile) error {
	wanted := map[string]bool{}
	for name := range files {
		wanted[topLevel(name)] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if wanted[name] {
			delete(wanted, name)
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(currentData, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
