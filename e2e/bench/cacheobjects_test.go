// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/shardctl/shardctl/internal/config"
)

func TestShapesMakeTheSameObjectsAgain(t *testing.T) {
	for _, s := range shapes() {
		seen := map[types.NamespacedName]bool{}
		for i := range 200 {
			object := s.make(i)
			seen[client.ObjectKeyFromObject(object)] = true
			if !reflect.DeepEqual(object, s.make(i)) {
				t.Errorf("%s: object %d is another one the second time", s.name, i)
			}
		}
		if len(seen) != 200 {
			t.Errorf("%s: 200 objects have %d names", s.name, len(seen))
		}
	}
}

// What the figures for memory depend on: objects in life share most of their text with themselves and each other, random ones
// share nothing.
func TestShapesCompressAsTheyShould(t *testing.T) {
	for _, test := range []struct {
		shape       shape
		least, most float64
	}{{deployments(), 0, 0.5}, {configMaps(), 0.7, 1}} {
		text, err := json.Marshal(test.shape.make(1))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if share := float64(packed.Len()) / float64(len(text)); share < test.least || share > test.most {
			t.Errorf("%s: compressed to %.0f %%, want %.0f to %.0f", test.shape.name, 100*share, 100*test.least, 100*test.most)
		}
	}
}

func TestSettleDeployment(t *testing.T) {
	d, ok := deployments().make(1).(*appsv1.Deployment)
	if !ok {
		t.Fatalf("%T is not a Deployment", deployments().make(1))
	}
	d.UID = "0123456789abcdef"
	deployments().settle(d)
	if d.Status.ReadyReplicas != *d.Spec.Replicas || len(d.Status.Conditions) != 2 {
		t.Errorf("the status is %+v", d.Status)
	}
}

func TestEveryShapeHasATypedAndAnUnstructuredObject(t *testing.T) {
	for _, s := range shapes() {
		typed, err := typedObject(s)
		if err != nil || reflect.TypeOf(typed) != reflect.TypeOf(s.make(0)) {
			t.Errorf("%s: the typed object is a %T, %v", s.name, typed, err)
		}
		if plain, err := unstructuredObject(s); err != nil || plain.GetObjectKind().GroupVersionKind() != s.gvk() {
			t.Errorf("%s: the unstructured object is %v, %v", s.name, plain, err)
		}
	}
}

func TestStartConfigurationHasAllShapes(t *testing.T) {
	parsed, err := config.Parse("config.yaml", configuration("start", shapeResources()...))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shapes() {
		if !strings.Contains(string(text), s.resource.Resource) {
			t.Errorf("%s are not in it: %s", s.name, text)
		}
	}
}

func TestCacheKindsDiffer(t *testing.T) {
	var all []contender
	for _, k := range cacheKinds() {
		if slices.Contains(all, k.who) {
			t.Errorf("there are two of %q", k.who)
		}
		all = append(all, k.who)
	}
}
