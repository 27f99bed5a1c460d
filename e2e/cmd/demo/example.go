// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	exampleDir = "examples/decorator"
	// exampleHook is where the example's configuration expects the hook server, for somebody who tries it by hand.
	exampleHook = "http://127.0.0.1:8088"
)

// example is what is in the files of the example.
type example struct {
	config []byte
	crds   []*unstructured.Unstructured
	types  []exampleType // in the order of the CRDs
}

// exampleType is one of the types that the CRDs define.
type exampleType struct {
	resource schema.GroupVersionResource
	kind     string
	sample   *unstructured.Unstructured
}

// shard returns the name of the type's shard.
func (t exampleType) shard() string { return t.resource.GroupResource().String() }

func loadExample(ctx context.Context) (*example, error) {
	root, err := fleet.SourceRoot(ctx)
	if err != nil {
		return nil, err
	}
	e := &example{}
	dir := filepath.Join(root, filepath.FromSlash(exampleDir))
	if e.config, err = os.ReadFile(filepath.Join(dir, "config.yaml")); err != nil {
		return nil, err
	}
	if e.crds, err = readDocuments(filepath.Join(dir, "crds.yaml")); err != nil {
		return nil, err
	}
	samples, err := readDocuments(filepath.Join(dir, "objects.yaml"))
	if err != nil {
		return nil, err
	}
	return e, e.findTypes(samples)
}

// useHook has the configuration name the hook server that is running.
func (e *example) useHook(url string) error {
	if !bytes.Contains(e.config, []byte(exampleHook)) {
		return fmt.Errorf("%s/config.yaml: %s is not there, so the demo cannot replace it", exampleDir, exampleHook)
	}
	e.config = bytes.ReplaceAll(e.config, []byte(exampleHook), []byte(url))
	return nil
}

func (e *example) findTypes(samples []*unstructured.Unstructured) error {
	byKind := map[string]*unstructured.Unstructured{}
	for _, sample := range samples {
		byKind[sample.GetKind()] = sample
	}
	for _, crd := range e.crds {
		plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		sample := byKind[kind]
		if plural == "" || sample == nil {
			return fmt.Errorf("%s: CRD %s has no plural, or there is no object of its kind", exampleDir, crd.GetName())
		}
		e.types = append(e.types, exampleType{
			resource: sample.GroupVersionKind().GroupVersion().WithResource(plural), kind: kind, sample: sample,
		})
	}
	return nil
}

// readDocuments reads the YAML documents of a file.
func readDocuments(path string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
	var documents []*unstructured.Unstructured
	for {
		document := &unstructured.Unstructured{}
		switch err := decoder.Decode(&document.Object); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		case len(document.Object) > 0:
			documents = append(documents, document)
		}
	}
}
