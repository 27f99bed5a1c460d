// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"slices"
	"strconv"
	"strings"
)

// How a program is told of its term. A hook that is a program is told by the same names, but for the role.
const (
	variableRole  = "SHARDCTL_ROLE"
	variableShard = "SHARDCTL_SHARD"
	variableEpoch = "SHARDCTL_EPOCH"
	variableToken = "SHARDCTL_FENCING_TOKEN"
)

// IsVariable tells whether an environment variable tells the program of its term.
func IsVariable(name string) bool {
	return slices.Contains([]string{variableRole, variableShard, variableEpoch, variableToken}, name)
}

// variables tell of a term. A role is one shard, of its own name.
func variables(t Term) []string {
	return []string{
		variableRole + "=" + t.Shard(),
		variableShard + "=" + t.Shard(),
		variableEpoch + "=" + strconv.FormatInt(int64(t.Epoch()), 10),
		variableToken + "=" + strconv.FormatInt(t.Token(), 10),
	}
}

// unique keeps the last of several variables of one name. The C library would take the first.
func unique(env []string) []string {
	seen := make(map[string]bool, len(env))
	var kept []string
	for _, variable := range slices.Backward(env) {
		name, _, _ := strings.Cut(variable, "=")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, variable)
		}
	}
	slices.Reverse(kept)
	return kept
}
