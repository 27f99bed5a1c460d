// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestMarkOwner(t *testing.T) {
	for _, tc := range []struct {
		resource schema.GroupResource
		owner    metav1.ObjectMeta
		want     string
	}{
		{schema.GroupResource{Group: "example.com", Resource: "widgets"}, metav1.ObjectMeta{UID: "u", Namespace: "ns", Name: "w"}, "widgets.example.com/u/ns/w"},
		{schema.GroupResource{Resource: "nodes"}, metav1.ObjectMeta{UID: "u", Name: "n"}, "nodes/u//n"},
	} {
		child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"kept": "yes"}}}
		MarkOwner(child, tc.resource, &tc.owner)
		if want := map[string]string{"kept": "yes", AnnotationOwner: tc.want}; !maps.Equal(child.Annotations, want) {
			t.Errorf("annotations %v, want %v", child.Annotations, want)
		}
		fresh := &corev1.ConfigMap{}
		MarkOwner(fresh, tc.resource, &tc.owner)
		if fresh.Annotations[AnnotationOwner] != tc.want {
			t.Errorf("annotations %v of what had none", fresh.Annotations)
		}
	}
}
