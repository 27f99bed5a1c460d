// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// statusTTL is how long an answer is believed: a CRD may gain or lose its
// status subresource.
const statusTTL = time.Minute

// statusSubresources knows which types have a status subresource.
type statusSubresources struct {
	disco discovery.DiscoveryInterfaceWithContext

	mu    sync.Mutex
	known map[schema.GroupVersionResource]statusAnswer
}

type statusAnswer struct {
	has bool
	at  time.Time
}

func newStatusSubresources(d discovery.DiscoveryInterfaceWithContext) *statusSubresources {
	return &statusSubresources{disco: d, known: map[schema.GroupVersionResource]statusAnswer{}}
}

// has asks the API server, at most once a minute for each type.
func (s *statusSubresources) has(ctx context.Context, gvr schema.GroupVersionResource) (bool, error) {
	s.mu.Lock()
	answer, ok := s.known[gvr]
	s.mu.Unlock()
	if ok && time.Since(answer.at) < statusTTL {
		return answer.has, nil
	}
	list, err := s.disco.ServerResourcesForGroupVersionWithContext(ctx, gvr.GroupVersion().String())
	if err != nil {
		return false, fmt.Errorf("discovering the subresources of %s: %w", gvr.GroupResource(), err)
	}
	answer = statusAnswer{has: serves(list, gvr.Resource+"/status"), at: time.Now()}
	s.mu.Lock()
	s.known[gvr] = answer
	s.mu.Unlock()
	return answer.has, nil
}

func serves(list *metav1.APIResourceList, name string) bool {
	for _, r := range list.APIResources {
		if r.Name == name {
			return true
		}
	}
	return false
}
