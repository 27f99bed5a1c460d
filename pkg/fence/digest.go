// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Digest is short and the same for two fences if and only if they refuse the same, in the same words
// and under the same names: names, specs and the labels named in this package count, in any order;
// whatever the API server or an installer adds to an object does not. So it tells whether what the
// API server has stored is what was generated.
func (f *Fence) Digest() string {
	parts := make([]digested, 0, len(f.Policies)+len(f.Bindings))
	for _, p := range f.Policies {
		parts = append(parts, digested{"policy", p.Name, ours(p.Labels), p.Spec})
	}
	for _, b := range f.Bindings {
		parts = append(parts, digested{"binding", b.Name, ours(b.Labels), b.Spec})
	}
	slices.SortFunc(parts, func(a, b digested) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	raw, err := json.Marshal(parts)
	if err != nil {
		panic(fmt.Sprintf("fence: digest: %v", err)) // API types always marshal
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:digestBytes])
}

// None stands for the digest of a group that writes no types, and so has no fence. No fence has it.
const None = "none"

// digestBytes are enough to tell apart what nobody forges: the digest detects mistakes.
const digestBytes = 8

type digested struct {
	Kind   string
	Name   string
	Labels map[string]string
	Spec   any
}

// ours are the labels by which fences are found.
func ours(labels map[string]string) map[string]string {
	own := maps.Clone(labels)
	maps.DeleteFunc(own, func(key, _ string) bool {
		return key != labelGroup && key != LabelNamespace && key != LabelFence
	})
	return own
}
