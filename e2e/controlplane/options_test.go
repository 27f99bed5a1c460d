// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOptionsRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		want    string
	}{
		{"audit level", Options{Audit: "metadata"}, `audit: "metadata" is not a level: use "Metadata", "Request" or "RequestResponse"`},
		{"API servers", Options{APIServers: 3}, "apiServers: 3 is not possible: use 1 or 2"},
		{"time-out", Options{StartTimeout: -time.Second}, "startTimeout: -1s is negative: use 0 for the default of 1m0s"},
		{"grace period", Options{NodeGracePeriod: time.Millisecond}, "nodeGracePeriod: 1ms is too short: use 0 for the default or 1s or more"},
		{
			"controllers of nobody",
			Options{NoControllerManager: true, Controllers: []string{"namespace-controller"}},
			"controllers: cannot be given together with noControllerManager: leave one of them out",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(t.Context(), test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New returned %v, want %q", err, test.want)
			}
		})
	}
}

// The directory is removed in the end, so it must not be one that somebody has put something into.
func TestOptionsDirWithContentRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), dir+" is not empty") {
		t.Errorf("New returned %v, want that %s is not empty", err, dir)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestReplicaOptionsRefused(t *testing.T) {
	_, err := ReplicaOptions{Namespace: "default", TokenLifetime: time.Minute}.withDefaults()
	if err == nil {
		t.Fatal("incomplete options were accepted")
	}
	for _, want := range []string{"name: is missing", "serviceAccount: is missing", "tokenLifetime: 1m0s is too short: use 10m0s or more"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %q, want %q in it", err, want)
		}
	}
}
