// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/shardctl/shardctl/internal/config"
)

func TestExampleHasARoleForEachType(t *testing.T) {
	e, err := loadExample(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.useHook("http://127.0.0.1:12345"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("config.yaml", e.config)
	if err != nil {
		t.Fatal(err)
	}
	hooks := map[string]string{}
	for _, role := range cfg.Roles {
		hooks[role.Decorator.Spec.Resources[0].GVR().String()] = role.Decorator.Spec.Hooks.Sync.Webhook.URL
	}
	for _, typ := range e.types {
		if got, want := hooks[typ.resource.String()], "http://127.0.0.1:12345/sync"; got != want {
			t.Errorf("the hook of %s is %q, want %q", typ.resource, got, want)
		}
	}
	if len(e.types) != 4 || len(cfg.Roles) != 4 {
		t.Errorf("there are %d types and %d roles, want 4 each", len(e.types), len(cfg.Roles))
	}
	if err := e.useHook("http://127.0.0.1:12345"); err == nil || !strings.Contains(err.Error(), exampleHook) {
		t.Errorf("a configuration without the example's hook: %v, want an error that names it", err)
	}
}

func TestProblemOf(t *testing.T) {
	widget := func(generation, observed int64) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"kind": "Widget", "metadata": map[string]any{"name": "w", "generation": generation},
			"status": map[string]any{"observedGeneration": observed, "label": "red, size 1"},
		}}
	}
	attached := func(label string) map[string]string { return map[string]string{"widget-w": label} }
	for _, test := range []struct {
		name     string
		object   *unstructured.Unstructured
		attached map[string]string
		want     string
	}{
		{"reconciled", widget(2, 2), attached("red, size 1"), ""},
		{"of an earlier generation", widget(2, 1), attached("red, size 1"), "its generation is 2, its status is of 1"},
		{"with an old ConfigMap", widget(2, 2), attached("red, size 0"), `its label is "red, size 1", its ConfigMap widget-w says "red, size 0"`},
		{"without a ConfigMap", widget(2, 2), nil, `its label is "red, size 1", its ConfigMap widget-w says ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := problemOf(test.object, test.attached); got != test.want {
				t.Errorf("the problem is %q, want %q", got, test.want)
			}
		})
	}
}
