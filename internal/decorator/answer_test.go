// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

func show(values ...any) string {
	return strings.TrimSuffix(fmt.Sprintln(values...), "\n")
}

// An answer that cannot be carried out as a whole is not carried out in part.
func TestInvalidAnswerChangesNothing(t *testing.T) {
	tests := []struct {
		name string
		gvr  schema.GroupVersionResource
		part string
		want string
	}{
		{
			"type not declared", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}]`,
			`attachments[0]: Invalid value: "v1 Secret": is of a type that spec.attachments does not have: add the type there, with just this apiVersion`,
		},
		{
			"version not declared", widgets, `"attachments": [{"apiVersion": "example.com/v2", "kind": "Zone", "metadata": {"name": "a"}}]`,
			`attachments[0]: Invalid value: "example.com/v2 Zone": is of a type that spec.attachments does not have: add the type there, with just this apiVersion`,
		},
		{
			"no type", widgets, `"attachments": [{"metadata": {"name": "a"}}]`,
			`attachments[0]: Invalid value: " ": is of a type that spec.attachments does not have: add the type there, with just this apiVersion`,
		},
		{
			"null attachment", widgets, `"attachments": [null]`,
			`attachments[0]: Invalid value: " ": is of a type that spec.attachments does not have: add the type there, with just this apiVersion`,
		},
		{
			"no name", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "a-"}}]`,
			`attachments[0].metadata.name: Required value: name the attachment; a name cannot be generated`,
		},
		{
			"name that is a path", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "../a"}}]`,
			`attachments[0].metadata.name: Invalid value: "../a": may not contain '/'`,
		},
		{
			"metadata of the wrong type", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": {"b": 1}}}]`,
			`attachments[0]: Invalid value: "": cannot convert int64 to string`,
		},
		{
			"other namespace", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "other"}}]`,
			`attachments[0].metadata.namespace: Invalid value: "other": must be the namespace of the object, ns: use that, or leave it out`,
		},
		{
			"cluster-scoped attachment of a namespaced parent", widgets, `"attachments": [{"apiVersion": "example.com/v1", "kind": "Zone", "metadata": {"name": "a"}}]`,
			`attachments[0].metadata.namespace: Forbidden: zones has no namespace, so an object in a namespace cannot own it`,
		},
		{
			"twice", widgets, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "ns"}}]`,
			`attachments[1]: Duplicate value: "Pod ns/a"`,
		},
		{
			"no namespace", stages, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]`,
			`attachments[0].metadata.namespace: Required value: an object without namespace cannot lend its attachments one: name it`,
		},
		{
			"namespace that is none", stages, `"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "x/y"}}]`,
			`attachments[0].metadata.namespace: Invalid value: "x/y": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
		},
		{
			"namespace of a cluster-scoped attachment", stages, `"attachments": [{"apiVersion": "example.com/v1", "kind": "Zone", "metadata": {"name": "a", "namespace": "ns"}}]`,
			`attachments[0].metadata.namespace: Invalid value: "ns": zones has no namespace: leave it out`,
		},
		{
			"label", widgets, `"labels": {"a": "not a label"}`,
			`labels: Invalid value: "not a label": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
		},
		{
			"annotation", widgets, `"annotations": {"not a key": "x"}`,
			`annotations: Invalid value: "not a key": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, document, widget, stage, attached("v1", "ConfigMap", "old", ""))
			w.sync.answer = `{"status": {"ready": 1}, ` + tt.part + `}`
			namespace, name := "ns", "w"
			if tt.gvr == stages {
				namespace, name = "", "s"
			}
			_, err := w.Sync(t.Context(), tt.gvr, namespace, name)
			if !errors.Is(err, ErrInvalidAnswer) {
				t.Fatalf("got %v, want ErrInvalidAnswer", err)
			}
			if want := "decorator tester: invalid answer: " + tt.want; err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			w.wantWrites(t)
		})
	}
}

func TestManyFaultsMakeAShortError(t *testing.T) {
	w := newWorld(t, document, widget)
	w.sync.answer = `{"attachments": [` + strings.Repeat(`{},`, 999) + `{}]}`
	err := w.syncWidget(t)
	if err == nil || !strings.HasSuffix(err.Error(), "and 995 more") || len(err.Error()) > 2000 {
		t.Errorf("got %v", err)
	}
}
