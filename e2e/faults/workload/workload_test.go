// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestUnreconciledSaysWhatIsMissing(t *testing.T) {
	const withChild, without = 8, childless
	widget := Types("g")[0]
	object := func(value int64, observed any) *unstructured.Unstructured {
		o := widget.New("ns", "a", value)
		if observed != nil {
			o.Object["status"] = map[string]any{"observed": observed}
		}
		return o
	}
	child := func(value int64) *unstructured.Unstructured { return widget.Child(object(value, nil), nil) }
	for _, test := range []struct {
		name          string
		object, child *unstructured.Unstructured
		want          string // part of the error; none if empty
	}{
		{"all is done", object(withChild, int64(withChild)), child(withChild), ""},
		{"all is done, with no child", object(without, int64(without)), nil, ""},
		{"no status", object(withChild, nil), child(withChild), "status.observed is 0"},
		{"no status of number 0", object(0, nil), nil, "status.observed is 0"},
		{"an old status", object(withChild, int64(2)), child(withChild), "status.observed is 2"},
		{"no child", object(withChild, int64(withChild)), nil, "it has no child"},
		{"an old child", object(withChild, int64(withChild)), child(2), "its child has 2"},
		{"a child that should be gone", object(without, int64(without)), child(2), "its child has 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Unreconciled(test.object, test.child)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestChildKnowsItsOwner(t *testing.T) {
	types := Types("g")
	child := types[1].Child(types[1].New("ns", "a", 1), Mark("writer", "term"))
	if owner, ok := types[1].OwnerOf(child); !ok || owner != "a" {
		t.Errorf("the owner is %q, %v, want a", owner, ok)
	}
	if owner, ok := types[0].OwnerOf(child); ok {
		t.Errorf("the owner among %s is %q, want none", types[0].Resource, owner)
	}
}

func TestEveryObjectIsInOneBucket(t *testing.T) {
	for _, typ := range Types("g") {
		object := typ.New("ns", "a", 1)
		object.SetUID("8f000000-0000-0000-0000-000000000000")
		in := 0
		for _, b := range typ.All() {
			if typ.In(b, object) {
				in++
			}
		}
		if in != 1 {
			t.Errorf("the %s is in %d of %d buckets, want 1", typ.Kind, in, typ.Buckets)
		}
	}
}
