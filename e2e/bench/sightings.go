// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
)

// sighting returns a configuration of clients whose answers tell that another holds a Lease, for electors that tell nobody. It is
// noted for the shards that the Lease is of.
func (r *replica) sighting(shards func(lease string) []string) *rest.Config {
	config := rest.CopyConfig(r.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &sightings{next: next, seen: map[string]bool{}, see: func(lease string) {
			for _, shard := range shards(lease) {
				if !r.works(shard) {
					r.notes.note(watching, shard)
				}
			}
		}}
	})
	return config
}

// sightings passes on what a client asks and is answered, and tells of each Lease once that somebody holds it.
type sightings struct {
	next http.RoundTripper
	see  func(lease string)

	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// RoundTrip looks at the answers to GET requests for a Lease.
func (s *sightings) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := s.next.RoundTrip(request)
	lease, ok := strings.CutPrefix(path.Base(path.Dir(request.URL.Path))+"/"+path.Base(request.URL.Path), "leases/")
	if err != nil || !ok || request.Method != http.MethodGet || answer.StatusCode != http.StatusOK || s.known(lease) {
		return answer, err
	}
	held, err := isHeld(answer)
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", lease, err)
	}
	if held {
		s.mu.Lock()
		s.seen[lease] = true
		s.mu.Unlock()
		s.see(lease)
	}
	return answer, nil
}

func (s *sightings) known(lease string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[lease]
}

// isHeld tells whether the Lease in the answer has a holder, and leaves the answer as it was.
func isHeld(answer *http.Response) (bool, error) {
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return false, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var lease coordinationv1.Lease
	if err := runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), body, &lease); err != nil {
		return false, err
	}
	return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "", nil
}
