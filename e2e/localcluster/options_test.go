// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

func TestOptionsRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		options Options
		want    string
	}{
		{"too few nodes", Options{Nodes: -1}, "nodes: -1 is not possible: use 1 to 100, or 0 for the default of 3"},
		{"too many nodes", Options{Nodes: 101}, "nodes: 101 is not possible"},
		{"grace period", Options{NodeGracePeriod: -time.Second}, "nodeGracePeriod: -1s is negative: use 0 for the default of 10s"},
		{
			"no controllers",
			Options{ControlPlane: controlplane.Options{NoControllerManager: true}},
			"controlPlane.noControllerManager: is not possible: nobody would make the nodes ready",
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

func TestImagesRefused(t *testing.T) {
	for _, test := range []struct {
		name, target, source, want string
	}{
		{"relative path", "program", "/dev/null", `image "i": files: "program": "/dev/null": use absolute paths`},
		{"missing file", "/program", "/dev/nothing", `image "i": files: "/program": stat /dev/nothing`},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := Options{Images: func(context.Context, string) (map[string]Image, error) {
				return map[string]Image{"i": {Files: map[string]string{test.target: test.source}}}, nil
			}}
			_, err := options.makeImages(t.Context(), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}
