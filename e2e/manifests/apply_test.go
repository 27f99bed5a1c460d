// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/utils/ptr"
)

// applier applies objects as `kubectl apply --server-side --validate=strict` does.
type applier struct {
	client   dynamic.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	warnings *warnings
}

// warnings are what an API server says in the headers of its answers: of deprecated fields, of Pods that would be refused.
type warnings struct{ texts []string }

// HandleWarningHeader remembers what it says.
func (w *warnings) HandleWarningHeader(_ int, agent, text string) {
	w.texts = append(w.texts, agent+" "+text)
}

func newApplier(t *testing.T, config *rest.Config) *applier {
	t.Helper()
	a := &applier{warnings: &warnings{}}
	config.WarningHandler = a.warnings
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	served, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	a.client, a.mapper = client, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(served))
	return a
}

// apply is a dry run, unless it is told otherwise. An answer with a warning is an error.
func (a *applier) apply(t *testing.T, object *unstructured.Unstructured, forReal bool) error {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: "manifests-test", Force: ptr.To(true), FieldValidation: metav1.FieldValidationStrict}
	if !forReal {
		options.DryRun = []string{metav1.DryRunAll}
	}
	a.warnings.texts = nil
	var client dynamic.ResourceInterface = a.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == "namespace" {
		client = a.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	_, err = client.Patch(t.Context(), object.GetName(), types.ApplyPatchType, body, options)
	for _, text := range a.warnings.texts {
		err = errors.Join(err, fmt.Errorf("warning: %s", text))
	}
	return err
}

// applyAll applies objects for good.
func (a *applier) applyAll(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		if err := a.apply(t, object, true); err != nil {
			t.Fatalf("apply %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}
