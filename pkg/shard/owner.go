// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/fence"
)

// AnnotationOwner names the object that another one was written for:
// <resource.group>/<UID>/<namespace>/<name>, the namespace being empty for a
// cluster-scoped owner. See [MarkOwner].
const AnnotationOwner = fence.AnnotationOwner

// MarkOwner says for which object of a resource type a child is written, where no
// controller owner reference can: owners cannot be in another namespace, nor
// can a namespaced object own a cluster-scoped one. The API server's fence judges
// writes to the child by the owner's shard. Garbage collection knows nothing of
// the mark.
func MarkOwner(child metav1.Object, resource schema.GroupResource, owner metav1.Object) {
	annotations := child.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationOwner] = strings.Join([]string{resource.String(), string(owner.GetUID()), owner.GetNamespace(), owner.GetName()}, "/")
	child.SetAnnotations(annotations)
}
