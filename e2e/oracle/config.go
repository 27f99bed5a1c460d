// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Config says what is judged: one group.
type Config struct {
	// Group is the name of the group; the Lease of a shard is <group>.<shard>.
	Group string
	// Namespace has the Leases.
	Namespace string
	// Objects are the namespaces of the objects; what is cluster-scoped is judged in any case. Default: Namespace.
	Objects []string
	Types   []TypeRule
	// PodOf is the UID of the Pod that a spec.holderIdentity means; empty if none is meant. Default: <pod>_<UID>, whatever
	// follows after another underscore.
	PodOf func(holder string) types.UID
}

// TypeRule is a type of objects that the replicas write. Its name, as resource.group, is that of its family of shards.
type TypeRule struct {
	Resource schema.GroupResource
	// Kind is by which controller owner references name the objects.
	Kind string
	// ClusterScoped says that the objects are in no namespace.
	ClusterScoped bool
	// Partition is for Leases that do not say it themselves. Default: by UID.
	Partition lease.Partition
	// Children are the types of what is written for the objects: known by their controller, or the annotation in its place.
	Children []schema.GroupResource
	// NeverDeletes says that replicas may not delete objects or children: a deletion of which nothing tells whose it was is
	// somebody else's.
	NeverDeletes bool
}

// Window is the part of a history that a verdict is about. What was before it counts for who holds what.
type Window struct {
	// From and To are revisions: what came after the first, up to the second.
	From, To int64
	// Fault is from when on the way of the shards to new holders is measured. Default: when From was.
	Fault time.Time
}

// podOf is the default of Config.PodOf.
func podOf(holder string) types.UID {
	_, rest, _ := strings.Cut(holder, "_")
	uid, _, _ := strings.Cut(rest, "_")
	return types.UID(uid)
}

func (c Config) withDefaults() Config {
	if len(c.Objects) == 0 {
		c.Objects = []string{c.Namespace}
	}
	if c.PodOf == nil {
		c.PodOf = podOf
	}
	return c
}

func (c Config) covers(namespace string) bool {
	return namespace == "" || slices.Contains(c.Objects, namespace)
}

// shardOf takes the name of a shard's Lease apart.
func (c Config) shardOf(name string) (shard string, rule *TypeRule, b lease.Bucket, ok bool) {
	shard, ok = strings.CutPrefix(name, c.Group+".")
	if !ok {
		return "", nil, b, false
	}
	family, b := lease.ParseShardName(shard)
	i := slices.IndexFunc(c.Types, func(r TypeRule) bool { return r.Resource.String() == family })
	if i < 0 {
		return "", nil, b, false
	}
	return shard, &c.Types[i], b, true
}

// subject is whose shard an object is written for: its own, or its owner's.
type subject struct {
	rule            *TypeRule
	uid             types.UID
	namespace, name string
}

// subjectOf says for whom an object is written. A write that takes it from its owner is one for that owner.
func (c Config) subjectOf(e Event) (subject, bool) {
	if !c.covers(e.Key.Namespace) {
		return subject{}, false
	}
	for i := range c.Types {
		rule := &c.Types[i]
		if rule.Resource == e.Key.Resource {
			return subject{rule, e.Object.UID, e.Key.Namespace, e.Key.Name}, true
		}
	}
	for _, o := range []*Object{e.Object, e.Previous} {
		if o == nil {
			continue
		}
		if s, ok := c.ownerOf(e.Key, o); ok {
			return s, true
		}
	}
	return subject{}, false
}

func (c Config) ownerOf(key Key, o *Object) (subject, bool) {
	for i := range c.Types {
		rule := &c.Types[i]
		if !slices.Contains(rule.Children, key.Resource) {
			continue
		}
		if rule.controls(o.Controller) {
			namespace := key.Namespace
			if rule.ClusterScoped {
				namespace = ""
			}
			return subject{rule, o.Controller.UID, namespace, o.Controller.Name}, true
		}
		// <family>/<uid>/<namespace>/<name>
		const parts = 4
		if said := strings.Split(o.Owner, "/"); len(said) == parts && said[0] == rule.Resource.String() {
			return subject{rule, types.UID(said[1]), said[2], said[3]}, true
		}
	}
	return subject{}, false
}

func (r *TypeRule) controls(owner *metav1.OwnerReference) bool {
	if owner == nil || owner.Kind != r.Kind {
		return false
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == r.Resource.Group
}
