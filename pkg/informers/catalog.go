// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
)

// Discovery is the part of client-go's discovery clients that is needed here;
// *discovery.DiscoveryClient and the fake have it. It must ask the API
// server each time: a caching client would hide that a type has come or gone.
type Discovery interface {
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// catalog tells whether types are served. It asks discovery only while there is
// somebody to answer to, per group-version and not per type.
type catalog struct {
	discovery Discovery
	metadata  metadata.Interface // nil: CRDs are not watched
	maxPoll   time.Duration
	spawn     spawnFunc // set by Set.Run, before anybody subscribes

	mu     sync.Mutex
	probes map[schema.GroupVersion]*probe
	// absent counts the subscriptions that were told "not served" and stay for
	// a better answer. While there are any, CRDs are watched.
	absent int
	// stopCRDWatch is nil unless the watch was started; crdsWatched is set while it
	// is established.
	stopCRDWatch context.CancelFunc
	crdsWatched  bool
}

func newCatalog(discovery Discovery, o Options) *catalog {
	return &catalog{
		discovery: discovery,
		metadata:  o.Metadata,
		maxPoll:   o.MaxPollInterval,
		probes:    map[schema.GroupVersion]*probe{},
	}
}

// answer is what discovery says about a type.
type answer struct {
	api metav1.APIResource // valid if err is nil
	err error              // wraps ErrNotServed if discovery is sure of it
}

// subscription is one asker's place in the probe of a group-version.
type subscription struct {
	gvr schema.GroupVersionResource
	// answers holds the newest answer that was not read yet.
	answers chan answer
	// stays is set if the asker waits until the type is served.
	stays  bool
	absent bool // counted in catalog.absent
}

// ask gets the next answer; ok is false if ctx ended first.
func (c *catalog) ask(ctx context.Context, gvr schema.GroupVersionResource) (a answer, ok bool) {
	sub := c.subscribe(gvr, false)
	defer c.unsubscribe(sub)
	select {
	case a = <-sub.answers:
		return a, true
	case <-ctx.Done():
		return answer{}, false
	}
}

// subscribe makes the probe of the type's group-version ask soon, and again
// and again until the last of its subscribers has left.
func (c *catalog) subscribe(gvr schema.GroupVersionResource, stays bool) *subscription {
	sub := &subscription{gvr: gvr, answers: make(chan answer, 1), stays: stays}
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.probes[gvr.GroupVersion()]
	if !ok {
		p = newProbe(gvr.GroupVersion())
		c.probes[p.gv] = p
		c.spawn(func(ctx context.Context) error { c.probeLoop(ctx, p); return nil })
	}
	p.subscriptions[sub] = struct{}{}
	p.wakeUp()
	return sub
}

func (c *catalog) unsubscribe(sub *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.probes[sub.gvr.GroupVersion()]; p != nil {
		delete(p.subscriptions, sub)
		if len(p.subscriptions) == 0 {
			p.wakeUp() // to end
		}
	}
	if sub.absent {
		c.absent--
		c.adjustCRDWatch()
	}
}

// publish hands the outcome of one discovery request to all who wait for it.
func (c *catalog) publish(p *probe, list *metav1.APIResourceList, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for sub := range p.subscriptions {
		a := newAnswer(sub.gvr, list, err)
		if sub.stays && !sub.absent && errors.Is(a.err, ErrNotServed) {
			sub.absent = true
			c.absent++
		}
		select {
		case <-sub.answers: // outdated
		default:
		}
		sub.answers <- a
	}
	c.adjustCRDWatch()
}

func newAnswer(gvr schema.GroupVersionResource, list *metav1.APIResourceList, err error) answer {
	gv := gvr.GroupVersion()
	if apierrors.IsNotFound(err) {
		return answer{err: fmt.Errorf("%s: %w: it has no group-version %s: is the CustomResourceDefinition installed?",
			typeName(gvr), ErrNotServed, gv)}
	}
	if err != nil {
		return answer{err: fmt.Errorf("ask discovery about %s: %w", gv, err)}
	}
	i := slices.IndexFunc(list.APIResources, func(api metav1.APIResource) bool { return api.Name == gvr.Resource })
	if i < 0 {
		return answer{err: fmt.Errorf("%s: %w: %s has no resource %q: is the CustomResourceDefinition installed, and is this the plural name?",
			typeName(gvr), ErrNotServed, gv, gvr.Resource)}
	}
	api := list.APIResources[i]
	// A discovery without verbs (a fake, an old aggregated API) is given the benefit of the doubt.
	watchable := slices.Contains(api.Verbs, "list") && slices.Contains(api.Verbs, "watch")
	if !watchable && len(api.Verbs) > 0 {
		return answer{err: fmt.Errorf("%s cannot be listed and watched: the API server offers only %v", typeName(gvr), api.Verbs)}
	}
	return answer{api: api}
}

// typeName is how messages name a type: "example.com/v1 widgets", "v1 pods".
func typeName(gvr schema.GroupVersionResource) string {
	return gvr.GroupVersion().String() + " " + gvr.Resource
}
