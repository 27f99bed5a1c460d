// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// asStored is how the API server stores a built-in type.
func asStored(t *testing.T, o runtime.Object) []byte {
	t.Helper()
	value, err := runtime.Encode(protobuf.NewSerializer(scheme.Scheme, scheme.Scheme), o)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestDecodeLease(t *testing.T) {
	l := &coordinationv1.Lease{
		TypeMeta:   metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{lease.AnnotationPartition: "key"}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me"), LeaseTransitions: ptr.To[int32](3)},
	}
	for _, test := range []struct {
		name       string
		annotation string
		want       Lease
	}{
		{"plain", "", Lease{Holder: "me", Epoch: 3, Partition: lease.ByKey}},
		{"sealed", lease.AnnotationSealed, Lease{Holder: "me", Epoch: 3, Partition: lease.ByKey, Abstains: true}},
		{"of a layout to come", lease.AnnotationComing, Lease{Holder: "me", Epoch: 3, Partition: lease.ByKey, Abstains: true}},
		{"with something on record", lease.AnnotationLedger, Lease{Holder: "me", Epoch: 3, Partition: lease.ByKey, Ledger: "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := l.DeepCopy()
			if test.annotation != "" {
				l.Annotations[test.annotation] = "1"
			}
			o, err := decode(asStored(t, l), nil)
			if err != nil {
				t.Fatal(err)
			}
			if o.UID != "u" || o.group != "coordination.k8s.io" || o.Lease == nil || *o.Lease != test.want {
				t.Errorf("read %+v with %+v, want %+v", o, o.Lease, test.want)
			}
		})
	}
}

func TestDecodeChild(t *testing.T) {
	o, err := decode(asStored(t, &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			UID:         "u",
			Annotations: map[string]string{AnnotationWriter: "pod", AnnotationTerm: "t", fence.AnnotationOwner: "f/u/n/o"},
			OwnerReferences: []metav1.OwnerReference{
				{Kind: "Other", Name: "x"},
				{APIVersion: "demo.example.com/v1", Kind: "Widget", Name: "w", UID: "w-uid", Controller: ptr.To(true)},
			},
		},
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Mark != (Mark{"pod", "t"}) || o.Owner != "f/u/n/o" || o.Controller == nil || o.Controller.UID != "w-uid" || o.Lease != nil || !o.Settled || o.group != "" {
		t.Errorf("read %+v", o)
	}
}

func TestDecodeCustomResource(t *testing.T) {
	settled := func(o *unstructured.Unstructured) bool {
		want, _, _ := unstructured.NestedInt64(o.Object, "spec", "value")
		got, found, _ := unstructured.NestedInt64(o.Object, "status", "observed")
		return found && want == got
	}
	for value, want := range map[string]bool{
		`"spec":{"value":2}`:                           false,
		`"spec":{"value":2},"status":{"observed":1}`:   false,
		`"spec":{"value":2},"status":{"observed":2}`:   true,
		`"spec":{"value":2},"status":{"observed":"2"}`: false,
	} {
		o, err := decode([]byte(`{"apiVersion":"demo.example.com/v1","kind":"Widget","metadata":{"uid":"u","generation":4,"deletionTimestamp":"2026-01-01T00:00:00Z"},`+value+`}`), settled)
		if err != nil {
			t.Fatal(err)
		}
		if o.UID != "u" || o.Generation != 4 || o.group != "demo.example.com" || !o.deleting || o.Settled != want {
			t.Errorf("%s was read as %+v, want settled: %v", value, o, want)
		}
	}
}

func TestDecodeNonsense(t *testing.T) {
	for _, value := range []string{"", "nonsense", "{}", `{"kind":"Widget"}`, `{"apiVersion":"v1","kind":"Widget"}`, "k8s\x00", "k8s\x00nonsense"} {
		if o, err := decode([]byte(value), nil); err == nil {
			t.Errorf("%q was read as %+v", value, o)
		}
	}
}

func TestParseKey(t *testing.T) {
	for key, want := range map[string]Key{
		"/registry/configmaps/ns/c":               {configMaps, "ns", "c"},
		"/registry/leases/ns/l":                   {leases, "ns", "l"},
		"/registry/demo.example.com/widgets/ns/w": {widgets, "ns", "w"},
		"/registry/demo.example.com/widgets/w":    {widgets, "", "w"},
		"/registry/namespaces/ns":                 {resource("", "namespaces"), "", "ns"},
		"/registry/services/specs/ns/s":           {resource("", "services"), "ns", "s"},
		"/registry/minions/node":                  {resource("", "nodes"), "", "node"},
		"/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example": {resource("apiextensions.k8s.io", "customresourcedefinitions"), "", "widgets.example"},
		"/registry/health":  {},
		"/registry/a/b/c/d": {},
		"/registry/":        {},
		"compact_rev_key":   {},
	} {
		if got, ok := parseKey(defaultPrefix, key); got != want && ok || ok != (want != Key{}) {
			t.Errorf("%s was read as %+v, %v, want %+v", key, got, ok, want)
		}
	}
}

func resource(group, name string) schema.GroupResource {
	return schema.GroupResource{Group: group, Resource: name}
}
