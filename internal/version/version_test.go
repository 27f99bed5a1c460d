// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package version

import (
	"runtime/debug"
	"testing"
)

func TestChoose(t *testing.T) {
	recorded := func(v string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: v}}
	}
	for name, test := range map[string]struct {
		stamped string
		info    *debug.BuildInfo
		want    string
	}{
		"the stamp wins":                 {"v1.2.3-4-gabcdef", recorded("v1.0.0"), "v1.2.3-4-gabcdef"},
		"go install without a stamp":     {"", recorded("v1.0.0"), "v1.0.0"},
		"go build in a checkout":         {"", recorded("(devel)"), "unknown"},
		"nothing recorded":               {"", recorded(""), "unknown"},
		"a program built outside module": {"", nil, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := choose(test.stamped, test.info); got != test.want {
				t.Errorf("choose(%q, %+v) = %q, want %q", test.stamped, test.info, got, test.want)
			}
		})
	}
}

func TestStringIsNeverEmpty(t *testing.T) {
	if String() == "" {
		t.Error("String() is empty, want a version or \"unknown\"")
	}
}
