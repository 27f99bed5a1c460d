// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package version tells which build of shardctl this is. Its one invariant:
// there is always an answer, also for a build that nobody stamped.
package version

import "runtime/debug"

// version is stamped by the linker: -X .../internal/version.version=v1.2.3.
var version string

// String is the version of the running program: what `make build` stamped (the
// answer of git describe), else the version of the module as `go install`
// recorded it, else "unknown". Never empty.
func String() string {
	info, _ := debug.ReadBuildInfo()
	return choose(version, info)
}

// choose prefers the stamp to what the go command recorded; info is nil in a
// program built without modules.
func choose(stamped string, info *debug.BuildInfo) string {
	switch {
	case stamped != "":
		return stamped
	case info != nil && info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version
	default:
		return "unknown"
	}
}
