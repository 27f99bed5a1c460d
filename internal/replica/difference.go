// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/shard"
)

// reloadable are the fields of a Config that may change while a replica runs.
var reloadable = []string{"Roles", "Workers"}

// paths of fields in the file that are not called as in a Config.
var paths = map[string]string{
	"Name": "metadata.name", "HTTPAddress": "spec.http.address", "HTTPTLS": "spec.http.tls", "HTTPProtect": "spec.http.authorization.protect",
}

// unchangeable returns an error that names what differs and cannot change while a
// replica runs, or nil.
func unchangeable(force, next *config.Config) error {
	var errs []error
	a, b := reflect.ValueOf(*force), reflect.ValueOf(*next)
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if slices.Contains(reloadable, name) || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: cannot change while a replica runs: restart the replicas, or take it back", pathOf(name)))
	}
	return errors.Join(errs...)
}

// pathOf is where the file has a field of a Config.
func pathOf(field string) string {
	if path, other := paths[field]; other {
		return path
	}
	return "spec." + strings.ToLower(field[:1]) + field[1:]
}

// roleChange is what differs in the roles of two files. A role that changed is both
// removed and added.
type roleChange struct{ added, removed []config.Role }

// difference tells what differs in the roles, and whether anything does.
func difference(force, next *config.Config) (c roleChange, differs bool) {
	same := func(a, b config.Role) bool {
		return a.Name == b.Name && (a.Decorator == nil || force.Workers == next.Workers) && reflect.DeepEqual(a, b)
	}
	c.removed = without(force.Roles, next.Roles, same)
	c.added = without(next.Roles, force.Roles, same)
	return c, len(c.added)+len(c.removed) > 0
}

// without are those roles for which the others have none that is the same.
func without(roles, others []config.Role, same func(a, b config.Role) bool) []config.Role {
	return slices.DeleteFunc(slices.Clone(roles), func(a config.Role) bool {
		return slices.ContainsFunc(others, func(b config.Role) bool { return same(a, b) })
	})
}

// kindOfChange is what happens to a role.
type kindOfChange int

const (
	onlyAdded kindOfChange = iota
	changed
	onlyRemoved
)

// names are those of the roles to which something happens.
func (c roleChange) names(what kindOfChange) []string {
	roles, others := c.added, c.removed
	if what == onlyRemoved {
		roles, others = c.removed, c.added
	}
	names := []string{} // null in a log says less
	for _, role := range roles {
		both := slices.ContainsFunc(others, func(other config.Role) bool { return other.Name == role.Name })
		if both == (what == changed) {
			names = append(names, role.Name)
		}
	}
	return names
}

// leaving names what the group does for the roles that are removed.
func (c roleChange) leaving() (controllers []shard.ControllerName, roles []string) {
	for _, role := range c.removed {
		if role.Decorator == nil {
			roles = append(roles, role.Name)
		}
		for _, rule := range role.Resources() {
			controllers = append(controllers, shard.ControllerName{Resource: rule.GVR().GroupResource(), Name: role.Name})
		}
	}
	return controllers, roles
}
