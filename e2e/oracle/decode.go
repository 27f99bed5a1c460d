// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"bytes"
	"errors"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// protobufPrefix begins every value that is not JSON.
var protobufPrefix = []byte("k8s\x00")

// decode reads a value of etcd: built-in types are protobuf, all others JSON.
func decode(value []byte, settled func(*unstructured.Unstructured) bool) (*Object, error) {
	object, version, err := decodeAny(value)
	if err != nil {
		return nil, err
	}
	described, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	if described.GetUID() == "" {
		return nil, errors.New("it has no metadata.uid")
	}
	kept := &Object{
		UID:        described.GetUID(),
		Generation: described.GetGeneration(),
		Controller: metav1.GetControllerOf(described),
		Owner:      described.GetAnnotations()[fence.AnnotationOwner],
		Mark:       markOf(described.GetAnnotations()),
		Settled:    true,
		deleting:   described.GetDeletionTimestamp() != nil,
		group:      version.Group,
	}
	switch object := object.(type) {
	case *coordinationv1.Lease:
		kept.Lease = leaseOf(object)
	case *unstructured.Unstructured:
		kept.Settled = settled == nil || settled(object)
	}
	return kept, nil
}

func decodeAny(value []byte) (runtime.Object, schema.GroupVersion, error) {
	if bytes.HasPrefix(value, protobufPrefix) {
		object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(value, nil, nil)
		if err != nil {
			return nil, schema.GroupVersion{}, fmt.Errorf("protobuf: %w", err)
		}
		return object, kind.GroupVersion(), nil
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(value); err != nil {
		return nil, schema.GroupVersion{}, fmt.Errorf("JSON: %w", err)
	}
	return object, object.GroupVersionKind().GroupVersion(), nil
}

func leaseOf(l *coordinationv1.Lease) *Lease {
	said := lease.DecodeShard(l)
	return &Lease{
		Holder:    said.Holder,
		Epoch:     said.Epoch,
		Partition: said.Partition,
		Abstains:  l.Annotations[lease.AnnotationSealed] != "" || l.Annotations[lease.AnnotationComing] != "",
		Left:      said.Left,
		Created:   l.CreationTimestamp.Time,
		Ledger:    said.Ledger,
	}
}
