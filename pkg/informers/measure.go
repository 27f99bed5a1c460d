// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

// Measurement says how the watch of one type fares, for metrics.
type Measurement struct {
	Resource schema.GroupVersionResource
	// Objects is how many are in the cache.
	Objects int
	// Synced: the whole list of them is. A type that the API server does not serve is not
	// synced.
	Synced bool
	// Failing is for how long no request about the type has succeeded: what is in the
	// cache is at least that old. 0 if the last one did.
	Failing time.Duration
	// Requests counts those that have ended since the type is watched. A watch counts
	// once it is open.
	Requests map[Request]uint64
}

// Request is a kind of request about a type.
type Request struct {
	Verb   string // list or watch
	Failed bool
}

// Measure measures all types that are watched now, sorted by group, resource and
// version. It takes a moment for each 10,000 objects.
func (s *Set) Measure() []Measurement {
	s.mu.Lock()
	resources := slices.Collect(maps.Values(s.resources))
	s.mu.Unlock()
	all := make([]Measurement, 0, len(resources))
	for _, r := range resources {
		all = append(all, r.measure())
	}
	slices.SortFunc(all, func(a, b Measurement) int {
		return cmp.Or(cmp.Compare(a.Resource.Group, b.Resource.Group),
			cmp.Compare(a.Resource.Resource, b.Resource.Resource), cmp.Compare(a.Resource.Version, b.Resource.Version))
	})
	return all
}

func (r *resource) measure() Measurement {
	m := Measurement{Resource: r.gvr}
	if sv := r.cached.Load(); sv != nil {
		m.Objects = len(sv.informer.GetIndexer().ListKeys())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Synced = r.current != nil && cache.IsDone(r.current.informer.HasSyncedChecker())
	if !r.failing.IsZero() {
		m.Failing = time.Since(r.failing)
	}
	m.Requests = maps.Clone(r.requests)
	return m
}

// count counts a list or a watch that has ended, or begun.
func (r *resource) count(verb string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests[Request{Verb: verb, Failed: err != nil}]++
}
