// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"path"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Key is which object.
type Key struct {
	Resource  schema.GroupResource
	Namespace string // empty of what is cluster-scoped
	Name      string
}

// String is for people.
func (k Key) String() string { return k.Resource.String() + " " + path.Join(k.Namespace, k.Name) }

// Event is one change in etcd.
type Event struct {
	Revision int64
	At       time.Time // when the recorder saw it
	Key      Key
	Deleted  bool
	// Object is what was stored; of a deletion, what was there before.
	Object *Object
	// Previous is what was there before; nil if nothing was.
	Previous *Object
}

// Object is what is kept of a stored object.
type Object struct {
	UID        types.UID
	Generation int64
	// Controller is its controller owner reference; nil if it has none.
	Controller *metav1.OwnerReference
	// Owner is the annotation that names the owner of what has no owner reference.
	Owner string
	Mark  Mark
	Lease *Lease // of Leases only
	// Settled is what [Options.Settled] says; true of what it is not asked about.
	Settled bool

	deleting bool   // it is deleted once its finalizers are gone
	group    string // of the type, which the key does not have of a built-in one
}

// Lease is what is kept of a Lease.
type Lease struct {
	Holder    string // as lease.DecodeShard reads it
	Epoch     int32
	Partition lease.Partition
	// Abstains says that its layout is over, or has not begun.
	Abstains bool
	// Left is when its last holder had ended all work, by its own clock; zero if it gave nothing away in order.
	Left time.Time
	// Created is when the Lease was made, by the API server's clock, in whole seconds.
	Created time.Time
	// Ledger is what the work of a shard has on record; empty if nothing.
	Ledger string
}
