// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden files are what metacontroller sends in the same situation, by its documentation: the keys of
// types and objects, the whole document as controller, an entry for each declared type though nothing of it
// is attached.
func TestRequest(t *testing.T) {
	tests := []struct {
		name          string
		gvr           schema.GroupVersionResource
		namespace, to string
		objects       []string
		document      string
	}{
		{
			name: "namespaced", gvr: widgets, namespace: "ns", to: "w", document: document,
			objects: []string{
				widget,
				attached("v1", "ConfigMap", "mine", "data: {a: b}"),
				attached("v1", "ConfigMap", "going", "  deletionTimestamp: 2026-03-01T12:00:00Z\n  finalizers: [example.com/hold]"),
				attached("v1", "Pod", "web", "spec: {priority: 9007199254740993}"),
				// These the hook must not see: of another decorator, of another widget, of nobody.
				replace(attached("v1", "ConfigMap", "theirs", ""), "controller: tester", "controller: other"),
				replace(attached("v1", "ConfigMap", "cousin", ""), "uid: widget-uid", "uid: another-uid"),
				"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: free, namespace: ns}",
				replace(attached("v1", "ConfigMap", "far", ""), "namespace: ns", "namespace: elsewhere"),
			},
		},
		{
			name: "cluster-scoped", gvr: stages, to: "s", document: document,
			objects: []string{
				stage,
				stageOwns(attached("v1", "ConfigMap", "a", "")),
				replace(stageOwns(attached("v1", "ConfigMap", "a", "")), "namespace: ns", "namespace: other"),
				replace(stageOwns(attached("example.com/v1", "Zone", "z", "")), "  namespace: ns\n", ""),
			},
		},
		{
			name: "finalizing", gvr: widgets, namespace: "ns", to: "w", document: withFinalize,
			objects: []string{widget + "  deletionTimestamp: 2026-03-01T12:00:00Z\n  finalizers: [metacontroller.io/decoratorcontroller-tester]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.document, tt.objects...)
			if _, err := w.Sync(t.Context(), tt.gvr, tt.namespace, tt.to); err != nil {
				t.Fatal(err)
			}
			requests := append(w.sync.requests, w.finalize.requests...)
			if len(requests) != 1 {
				t.Fatalf("%d requests, want 1", len(requests))
			}
			golden(t, "request-"+tt.name+".json", []byte(requests[0]))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", file, pretty.Bytes())
	}
}
