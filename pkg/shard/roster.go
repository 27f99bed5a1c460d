// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"slices"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/lease"
)

// roster is all that a group does at a time: its controllers and roles. It does not
// change: another takes its place.
type roster struct {
	controllers []*controller
	roles       []*role
}

// admitController says why the controller cannot be added, or nil.
func (r roster) admitController(c Controller) error {
	family := familyOf(c.Resource)
	for _, have := range r.controllers {
		switch {
		case have.family != family:
		case have.Name == c.Name:
			return fmt.Errorf("there is one of this name for %s already: set another name", family)
		case have.Buckets != c.Buckets || have.Buckets > 1 && have.Partition != c.Partition:
			return fmt.Errorf("buckets, partition: %d, %s are not those of controller %q of %s, %d, %s: use the same, for they share its shards",
				c.Buckets, c.Partition, have.Name, family, have.Buckets, have.Partition)
		}
	}
	if slices.ContainsFunc(r.roles, func(have *role) bool { return have.Name == family }) {
		return fmt.Errorf("its shard %s has the name of a role: rename the role", family)
	}
	if n := r.shardsWith(c); n > lease.MaxShards {
		return fmt.Errorf("buckets: %d is not allowed: the types would have %d shards in all: use fewer buckets, so that these are %d at most, or several groups",
			c.Buckets, n, lease.MaxShards)
	}
	return nil
}

// shardsWith is how many shards all types have, with those of a controller that is
// about to be added.
func (r roster) shardsWith(c Controller) (n int) {
	buckets := map[string]int{familyOf(c.Resource): c.Buckets}
	for _, have := range r.controllers {
		buckets[have.family] = have.Buckets // the same for all controllers of a type
	}
	for _, of := range buckets {
		n += of
	}
	return n
}

// admitRole says why the role cannot be added, or nil.
func (r roster) admitRole(one Role) error {
	taken := slices.ContainsFunc(r.roles, func(have *role) bool { return have.Name == one.Name }) ||
		slices.ContainsFunc(r.controllers, func(have *controller) bool { return have.family == one.Name })
	if taken {
		return errors.New("there is a shard of this name already: use another")
	}
	return nil
}

// families are all that are configured, by name.
func (r roster) families() map[string]lease.ShardSpec {
	all := map[string]lease.ShardSpec{}
	for _, c := range r.controllers {
		spec := lease.ShardSpec{Name: c.family, Resource: c.family, Buckets: c.Buckets, Partition: c.Partition}
		if kind, known := c.own.Kind(); known {
			spec.Kind, spec.ClusterScoped = kind.Kind, !c.own.Namespaced()
		}
		all[c.family] = spec
	}
	for _, r := range r.roles {
		all[r.Name] = lease.ShardSpec{Name: r.Name}
	}
	return all
}

// duties that come with the shards of a family.
func (r roster) duties(family string) []duty {
	var all []duty
	for _, c := range r.controllers {
		if c.family == family {
			all = append(all, c)
		}
	}
	for _, r := range r.roles {
		if r.Name == family {
			all = append(all, r)
		}
	}
	return all
}

// caches says how far those are that the reconciles of a family read.
func (r roster) caches(family string) []work.Cache {
	var all []work.Cache
	for _, c := range r.controllers {
		if c.family != family {
			continue
		}
		for _, i := range c.informers() {
			all = append(all, work.Cache{Resource: i.Resource().GroupResource().String(), ResourceVersion: i.LastResourceVersion()})
		}
	}
	return all
}

// services are those of all duties.
func (r roster) services() []*service {
	all := make([]*service, 0, len(r.controllers)+len(r.roles))
	for _, c := range r.controllers {
		all = append(all, c.service)
	}
	for _, r := range r.roles {
		all = append(all, r.service)
	}
	return all
}
