// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"slices"
	"time"
)

// CarriedPatience bounds how long a promotion waits for its caches to show what
// the last holder wrote. Without it reconciles would only do some work twice, on
// a conflict.
const CarriedPatience = 2 * time.Second

// Cache says up to which resourceVersion the cache of a resource type shows all
// changes.
type Cache struct{ Resource, ResourceVersion string }

// Promotion says whether a term that was granted may begin.
type Promotion int

const (
	// Behind: not yet, a cache does not show all that the last holder wrote.
	Behind Promotion = iota
	// Caught: it may, the caches show all of it.
	Caught
	// Overdue: it may, for it has waited long enough.
	Overdue
)

// Promote decides about a term that was granted some time ago; carried are the
// Writes.Newest of the last holder. Types without a cache are not waited for.
func Promote(carried map[string]string, caches []Cache, waited time.Duration) Promotion {
	switch {
	case !slices.ContainsFunc(caches, func(c Cache) bool { return newer(carried[c.Resource], c.ResourceVersion) }):
		return Caught
	case waited >= CarriedPatience:
		return Overdue
	}
	return Behind
}
