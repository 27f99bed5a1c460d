// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/pkg/lease"
)

// role reads an entry of spec.roles of the document at place.
func (p *parser) role(place Place, given *object) {
	var errs field.ErrorList
	given.errs = &errs
	role := Role{Name: given.requiredLabel("name", "name the role: its shard and its Lease are called so"), Buckets: 1, Partition: lease.ByUID}
	switch kind := given.oneOf("say what the role does", "decorator", "schedule", "exec", "leadership"); kind {
	case "decorator":
		role.Decorator = given.decorator(kind, role.Name)
		role.Buckets, role.Partition = given.division("buckets", "partition")
		given.absent("readiness", "a role that decorates a type is every replica's whose caches are complete: remove it")
	case "":
		given.asked = append(given.asked, "readiness", "buckets", "partition") // whatever it is, it may have some of these
	default:
		p.single(given, kind, &role)
	}
	given.done()
	p.reportFields(place, errs)
	if role.Name != "" {
		p.addRole(place, given.path.Child("name"), role)
	}
	if len(errs) == 0 && role.Decorator != nil {
		p.divide(place, given.path.Child("buckets"), role.Decorator, role.Buckets, role.Partition)
	}
}

// single reads a role of a kind that has no type: it is a single shard.
func (p *parser) single(given *object, kind string, role *Role) {
	switch what := given.object(kind); kind {
	case "schedule":
		role.Schedule = what.schedule(p.config.DrainTimeout)
	case "exec":
		role.Exec = what.exec(given, p.config.DrainTimeout)
	case "leadership":
		role.Lead = what.lead(p.config.DrainTimeout)
	}
	if readiness := given.object("readiness"); given.fields["readiness"] != nil {
		role.Readiness = readiness.readiness()
	}
	for _, name := range []string{"buckets", "partition"} {
		given.absent(name, "only types are divided, and a role of this kind has none: remove it")
	}
}

// decorator reads the spec of a DecoratorController as that of one called name;
// nil if it is not valid. That is recorded.
func (o *object) decorator(key, name string) *decorator.Document {
	value, path := o.get(key)
	if _, ok := value.(map[string]any); !ok {
		o.fail(mappingNeeded(path, value))
		return nil
	}
	if name == "" {
		name = "unnamed" // that is told already; the rest is to be checked nevertheless
	}
	document, errs := parseDecorator(map[string]any{
		"apiVersion": decorator.APIVersion,
		"kind":       decorator.Kind,
		"metadata":   map[string]any{"name": name},
		"spec":       value,
	}, path)
	for _, err := range errs {
		// The errors have the paths of the whole document that was made here.
		if rest, found := strings.CutPrefix(err.Field, path.Child("spec").String()); found {
			err.Field = path.String() + rest
		} else if err.Field == path.Child("metadata", "name").String() {
			err.Field = o.path.Child("name").String()
		}
		o.fail(err)
	}
	return document
}

// checkShardNames reports roles without a type whose shards would be called as those of a
// type that another role decorates.
func (p *parser) checkShardNames() {
	for _, role := range p.config.Roles {
		if role.Schedule == nil && role.Exec == nil && role.Lead == nil {
			continue // of a type, or not to be read
		}
		if of, taken := p.divisions[role.Name]; taken {
			named := p.names[role.Name]
			p.problems = append(p.problems, Problem{Place: named.place, Field: named.field, Detail: fmt.Sprintf(
				"Duplicate value: %q: it is the name of the shard of a type too, which %s decorates (%s): rename the role",
				role.Name, strings.TrimSuffix(of.field, ".buckets"), of.place.inFile())})
		}
	}
}
