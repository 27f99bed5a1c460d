// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestNewSaysWhatIsMissing(t *testing.T) {
	w := newWorld(t, document)
	complete := func() Options {
		caches := map[schema.GroupVersionResource]Cache{}
		for gvr, cache := range w.caches {
			caches[gvr] = cache
		}
		return Options{Document: w.document, Client: w.client, HasStatus: w.hasStatus, Parents: caches, Attachments: caches, Sync: w.sync}
	}
	if _, err := New(complete()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"document", func(o *Options) { o.Document = nil }, "Options.Document"},
		{"client", func(o *Options) { o.Client = nil }, "Options.Client"},
		{"status lookup", func(o *Options) { o.HasStatus = nil }, "HasStatus"},
		{"sync hook", func(o *Options) { o.Sync = nil }, "Sync"},
		{"finalize hook too many", func(o *Options) { o.Finalize = w.finalize }, "Options.Finalize"},
		{"parents", func(o *Options) { o.Parents = nil }, "Options.Parents lacks example.com/v1, Resource=widgets"},
		{"attachments", func(o *Options) { o.Attachments = nil }, "Options.Attachments lacks /v1, Resource=configmaps"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := complete()
			tt.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	w := newWorld(t, replace(document, "  - apiVersion: example.com/v1\n    resource: stages\n", `
  - apiVersion: example.com/v1
    resource: stages
    labelSelector: {matchExpressions: [{key: hidden, operator: DoesNotExist}]}
    annotationSelector: {matchAnnotations: {a: b}, matchExpressions: [{key: c, operator: Exists}]}
`))
	const meta = "apiVersion: example.com/v1\nkind: Any\nmetadata: "
	tests := []struct {
		name   string
		gvr    schema.GroupVersionResource
		object string
		want   bool
	}{
		{"label", widgets, meta + `{labels: {decorate: "yes"}}`, true},
		{"other label", widgets, meta + `{labels: {decorate: "no"}}`, false},
		{"no label", widgets, meta + `{name: w}`, false},
		{"finalizer", widgets, meta + `{finalizers: [metacontroller.io/decoratorcontroller-tester]}`, true},
		{"finalizer of another decorator", widgets, meta + `{finalizers: [metacontroller.io/decoratorcontroller-other]}`, false},
		{"annotations", stages, meta + `{annotations: {a: b, c: ""}}`, true},
		{"annotations in part", stages, meta + `{annotations: {a: b}}`, false},
		{"annotations, but a label says no", stages, meta + `{annotations: {a: b, c: ""}, labels: {hidden: ""}}`, false},
		{"other type", pods, meta + `{labels: {decorate: "yes"}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.Matches(tt.gvr, object(t, tt.object)); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestConcerns(t *testing.T) {
	ignoring := newWorld(t, replace(document, "    resource: stages\n", "    resource: stages\n    ignoreStatusChanges: true\n"))
	minding := newWorld(t, document)
	was := "apiVersion: example.com/v1\nkind: Stage\nmetadata: {generation: 2, labels: {a: b}, annotations: {c: d}}\nstatus: {ready: 1}\n"
	tests := []struct {
		name     string
		from, to string
		ignoring bool // what a rule that ignores status changes says
	}{
		{"status", was, replace(was, "ready: 1", "ready: 2"), false},
		{"generation", was, replace(was, "generation: 2", "generation: 3"), true},
		{"label", was, replace(was, "a: b", "a: x"), true},
		{"annotation", was, replace(was, "c: d", "c: x"), true},
		{"type without generations", replace(was, "generation: 2, ", ""), replace(was, "generation: 2, ", "resourceVersion: \"7\", "), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			from, to := object(t, tt.from), object(t, tt.to)
			if got := ignoring.Concerns(stages, from, to); got != tt.ignoring {
				t.Errorf("ignoring status changes: %t", got)
			}
			if !minding.Concerns(stages, from, to) {
				t.Error("not ignoring status changes: false")
			}
		})
	}
	t.Run("not selected", func(t *testing.T) {
		o := object(t, replace(widget, `"yes"`, `"no"`))
		if minding.Concerns(widgets, o, o) {
			t.Error("true")
		}
	})
}

func TestParentOf(t *testing.T) {
	w := newWorld(t, document)
	a := attached("v1", "ConfigMap", "a", "")
	tests := []struct {
		name, attachment, want string
	}{
		{"widget", a, "widgets ns/w"},
		{"widget in another version", replace(a, "{apiVersion: example.com/v1,", "{apiVersion: example.com/v1beta1,"), "widgets ns/w"},
		{"stage", stageOwns(a), "stages /s"},
		{"not its controller", replace(a, "controller: true", "controller: false"), ""},
		{"other kind", replace(a, "kind: Widget", "kind: Gadget"), ""},
		{"other group", replace(a, "{apiVersion: example.com/v1,", "{apiVersion: example.org/v1,"), ""},
		{"nobody's", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if gvr, namespace, name, ok := w.ParentOf(object(t, tt.attachment)); ok {
				got = gvr.Resource + " " + namespace + "/" + name
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
