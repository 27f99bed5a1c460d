// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Key names an object, as client-go's ObjectName does. The namespace of
// cluster-scoped objects is empty.
type Key interface {
	comparable
	Parts() (namespace, name string)
}

// Object is one of those that a key has named in the course of time.
type Object[K Key] struct {
	Key K
	// UID is empty where it is not known which of them is meant.
	UID types.UID
}

// In tells whether the object is in a bucket: exactly one of a layout's, also
// where its UID is not known.
func (o Object[K]) In(b lease.Bucket) bool {
	return b.Of <= 1 || b.Contains(o.position(b.By))
}

// position is where the object is in a partition. One that nobody has seen goes
// by its key instead of its UID, so that whoever asks gets the same answer.
func (o Object[K]) position(by lease.Partition) uint32 {
	if by == lease.ByUID && o.UID == "" {
		by = lease.ByKey
	}
	namespace, name := o.Key.Parts()
	return by.Position(o.UID, namespace, name)
}

// within are the keys of those objects that are in a bucket.
func within[K Key](b lease.Bucket, objects []Object[K]) []K {
	var keys []K
	for _, o := range objects {
		if o.In(b) {
			keys = append(keys, o.Key)
		}
	}
	return keys
}
