// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// WriteYAML writes all policies, and then all bindings, as documents that kubectl can apply.
func (f *Fence) WriteYAML(w io.Writer) error {
	for _, p := range f.Policies {
		if err := writeDocument(w, p); err != nil {
			return fmt.Errorf("writing policy %s: %w", p.Name, err)
		}
	}
	for _, b := range f.Bindings {
		if err := writeDocument(w, b); err != nil {
			return fmt.Errorf("writing binding %s: %w", b.Name, err)
		}
	}
	return nil
}

func writeDocument(w io.Writer, object any) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	// What the API server writes has no place in what is applied.
	unstructured.RemoveNestedField(fields, "status")
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	raw, err := yaml.Marshal(fields)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "---\n%s", raw)
	return err
}
