// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/decorator"
	"github.com/shardctl/shardctl/pkg/lease"
)

// division is how a type is divided into buckets, and where the file says so.
type division struct {
	lease.Partitioning
	place Place
	field string
}

// buckets is the division for people: "4 by uid", or "1".
func (d division) buckets() string {
	if d.Buckets == 1 {
		return "1"
	}
	return d.String()
}

// division reads how the types of a role are divided: in one piece, and by UID, if
// nothing is said.
func (o *object) division(buckets, partition string) (int, lease.Partition) {
	n := int(o.integer(buckets, 1, lease.MaxBuckets))
	by := lease.Partition(o.text(partition, string(lease.ByUID)))
	if !slices.Contains(lease.Partitions(), by) {
		o.fail(field.NotSupported(o.path.Child(partition), by, lease.Partitions()))
	}
	if o.fields[partition] != nil && o.fields[buckets] == nil {
		o.fail(field.Required(o.path.Child(buckets), fmt.Sprintf("say how many there are beside %s, or remove that", partition)))
	}
	return n, by
}

// divide notes how the types of a role are divided, as the field at path says. All
// roles of a type share its shards, and so have to agree.
func (p *parser) divide(place Place, path *field.Path, role *decorator.Document, buckets int, by lease.Partition) {
	if buckets == 1 {
		by = "" // there is nothing to divide
	}
	now := division{Partitioning: lease.Partitioning{Buckets: buckets, By: by}, place: place, field: path.String()}
	for _, rule := range role.Spec.Resources {
		family := rule.GVR().GroupResource().String()
		before, known := p.divisions[family]
		if !known {
			p.divisions[family] = now
			continue
		}
		if before.Partitioning != now.Partitioning {
			p.reportFields(place, field.ErrorList{field.Invalid(path, now.buckets(), fmt.Sprintf(
				"%s says %s of %s (%s): let both say the same, for they share its shards", before.field, before.buckets(), family, before.place.inFile()))})
		}
	}
}

// countBuckets reports if the types have too many buckets in all.
func (p *parser) countBuckets() {
	buckets := 0
	for _, d := range p.divisions {
		buckets += d.Buckets
	}
	if buckets <= lease.MaxShards {
		return
	}
	place := p.configuration
	if place.Line == 0 {
		place = Place{File: p.file}
	}
	p.problems = append(p.problems, Problem{Place: place, Field: "spec.roles", Detail: fmt.Sprintf(
		"%d buckets in all are not allowed: use at most %d, where a type that is not divided counts as one, or several groups: the layout record names them all", buckets, lease.MaxShards)})
}
