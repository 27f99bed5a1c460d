// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/validation"

	"github.com/shardctl/shardctl/internal/hook"
)

// nested is a JSON value of n objects within each other.
func nested(n int) string {
	return strings.Repeat(`{"x":`, n) + `1` + strings.Repeat(`}`, n)
}

// configMapWith is an answer's attachments: one ConfigMap with this in its metadata.
func configMapWith(metadata string) string {
	return `"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", ` + metadata + `}}]`
}

// Whatever a hook says, what it may not have is refused by name, in few words, and nothing is written: what is attached
// already is not deleted either.
func TestHostileAnswerChangesNothing(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct{ name, part, want string }{
		{"many attachments", `"attachments": [` + strings.Repeat(`{},`, maxAttachments) + `{}]`, "attachments: Too many: 1001: must have at most 1000 items: leave some out"},
		{"deep status", `"status": {"a": ` + nested(maxDepth) + `}`, "status: Invalid value: \"\": nests deeper than 100 levels"},
		{"deep lists", `"status": {"a": ` + strings.Repeat("[", 5000) + "1" + strings.Repeat("]", 5000) + `}`, "status: Invalid value: \"\": nests deeper than 100 levels"},
		{"deep attachment", `"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": ` + nested(maxDepth) + `}]`, "attachments[0]: Invalid value: \"\": nests deeper"},
		{"deep metadata", configMapWith(`"labels": ` + nested(9000)), "attachments[0]: Invalid value: \"\": nests deeper"},
		{"large labels", `"labels": {"a": "` + long + `"}`, "labels: Too long: has 1048577 bytes, and at most 262144 are allowed"},
		{"endless name of a label to delete", `"labels": {"` + long + `": null}`, "labels: Too long: has 1048576 bytes"},
		{"large annotations", `"annotations": {"a": "` + long + `"}`, "annotations: Too long: has 1048577 bytes"},
		{"attachment too large for its annotation", `"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "` +
			long[:validation.TotalAnnotationSizeLimitB] + `"}}]`, "attachments[0]: Invalid value: \"\": takes 262"},
		{"endless kind", `"attachments": [{"apiVersion": "v1", "kind": "` + long + `", "metadata": {"name": "a"}}]`, "spec.attachments does not have"},
		{"endless name", `"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "` + long + `/"}}]`, "may not contain '/'"},
		{"name is a way up", `"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": ".."}}]`, "attachments[0].metadata.name: Invalid value: \"..\""},
		{"namespace is a way out", configMapWith(`"namespace": "../kube-system"`), "attachments[0].metadata.namespace: Invalid value: \"../kube-system\": must be the namespace of the object"},
		{"group label on the object", `"labels": {"shardctl.dev/group": "g"}`, "labels: Forbidden: \"shardctl.dev/group\" is for shardctl itself: use another prefix"},
		{"group label taken away", `"labels": {"shardctl.dev/group": null}`, "labels: Forbidden: \"shardctl.dev/group\" is for shardctl itself"},
		{"pin on the object", `"annotations": {"shardctl.dev/pinned": "p"}`, "annotations: Forbidden: \"shardctl.dev/pinned\""},
		{"group label on an attachment", configMapWith(`"labels": {"shardctl.dev/group": "g"}`), "attachments[0].metadata.labels: Forbidden: \"shardctl.dev/group\""},
		{"owner of somebody's", configMapWith(`"annotations": {"shardctl.dev/owner": "pods/u/ns/p"}`), "attachments[0].metadata.annotations: Forbidden: \"shardctl.dev/owner\""},
		{
			"controlled by another", configMapWith(`"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p-uid", "controller": true}]`),
			"attachments[0].metadata.ownerReferences[0].controller: Forbidden: the controller of an attachment is the object that the hook was asked about, not Pod p",
		},
		{"owners of the wrong type", configMapWith(`"ownerReferences": {"uid": 1}`), "attachments[0]: Invalid value"},
		{"finalizers of the wrong type", configMapWith(`"finalizers": [[]]`), "attachments[0]: Invalid value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, document, widget, attached("v1", "ConfigMap", "old", ""))
			w.sync.answer = `{"finalized": true, ` + tt.part + `}`
			err := w.syncWidget(t)
			if !errors.Is(err, ErrInvalidAnswer) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > maxErrorBytes+100 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			w.wantWrites(t)
		})
	}
}

// What is just within the limits is carried out.
func TestLargestAnswerIsCarriedOut(t *testing.T) {
	var attachments []string
	for i := range maxAttachments {
		attachments = append(attachments, fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a%d"}}`, i))
	}
	w := newWorld(t, document, widget)
	w.sync.answer = `{"status": ` + nested(maxDepth) + `, "attachments": [` + strings.Join(attachments, ",") + `]}`
	if err := w.syncWidget(t); err != nil {
		t.Fatal(err)
	}
	if got, want := len(w.writes()), maxAttachments+1; got != want {
		t.Errorf("%d writes, want %d", got, want)
	}
}

// An attachment that is just small enough can be written with all its annotations, one that is a byte larger is refused.
func TestLargestAttachment(t *testing.T) {
	answer := func(filler int) string {
		return `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "` + strings.Repeat("x", filler) + `"}}]}`
	}
	annotationBytes := func(filler int) (size int) {
		w := newWorld(t, document, widget)
		w.sync.answer = answer(filler)
		if err := w.syncWidget(t); err != nil {
			t.Fatal(err)
		}
		for k, v := range w.get(t, configMaps, "ns", "a").GetAnnotations() {
			size += len(k) + len(v)
		}
		return size
	}
	largest := validation.TotalAnnotationSizeLimitB - annotationBytes(0)
	if size := annotationBytes(largest); size != validation.TotalAnnotationSizeLimitB {
		t.Errorf("the annotations have %d bytes, want %d", size, validation.TotalAnnotationSizeLimitB)
	}
	w := newWorld(t, document, widget)
	w.sync.answer = answer(largest + 1)
	if err := w.syncWidget(t); !errors.Is(err, ErrInvalidAnswer) {
		t.Errorf("got %v, want ErrInvalidAnswer", err)
	}
}

// A hook that names objects of others as its attachments, even the object itself, gets none of them: they are neither changed
// nor, once the hook leaves them out again, deleted.
func TestObjectsOfOthersAreLeftAlone(t *testing.T) {
	recursive := replace(document, "  - apiVersion: example.com/v1\n    resource: zones\n", "  - apiVersion: example.com/v1\n    resource: widgets\n    updateStrategy: {method: InPlace}\n")
	const another = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: v, namespace: ns, uid: v-uid, labels: {decorate: \"yes\"}}\n"
	for _, tt := range []struct{ name, object, kind, apiVersion, target string }{
		{"the object itself", another, "Widget", "example.com/v1", "w"},
		{"another object", another, "Widget", "example.com/v1", "v"},
		{"an attachment of another object", replace(attached("v1", "ConfigMap", "c", "data: {k: v}"), "uid: widget-uid", "uid: v-uid"), "ConfigMap", "v1", "c"},
		{"somebody's, with a forged mark", replace(attached("v1", "ConfigMap", "c", "data: {k: v}"), "controller: true, ", ""), "ConfigMap", "v1", "c"},
		{"somebody's", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: ns, uid: c-uid}\n", "ConfigMap", "v1", "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, recursive, widget, tt.object)
			w.sync.answer = fmt.Sprintf(`{"attachments": [{"apiVersion": %q, "kind": %q, "metadata": {"name": %q, "finalizers": ["x.example.com/y"]}}]}`,
				tt.apiVersion, tt.kind, tt.target)
			if err := w.syncWidget(t); !errors.Is(err, ErrNotOurs) {
				t.Errorf("got %v, want ErrNotOurs", err)
			}
			w.wantWrites(t)
			w.sync.answer = `{}`
			if err := w.syncWidget(t); err != nil {
				t.Error(err)
			}
			w.wantWrites(t)
		})
	}
}

// What the API server says of a write may be as long as what was written; what Sync says of it is not.
func TestEndlessErrorIsCut(t *testing.T) {
	refused := errors.New(strings.Repeat("é", 1<<20))
	w := newWorld(t, document, widget)
	w.sync.answer = `{"status": {"ready": 1}}`
	w.fail("update", "widgets", refused)
	err := w.syncWidget(t)
	if !errors.Is(err, refused) || len(err.Error()) > maxErrorBytes+100 || !strings.HasSuffix(err.Error(), "bytes)") {
		t.Errorf("got %.100v", err)
	}
}

// The whole way, over HTTP: an answer that does not decode deletes nothing.
func TestAnswerThatDoesNotDecodeDeletesNothing(t *testing.T) {
	for name, answer := range map[string]string{
		"no number":          `{"status": {"a": NaN}}`,
		"too large a number": `{"status": {"a": 1e999}}`,
		"attachments object": `{"attachments": {"a": {}}}`,
		"attachments text":   `{"attachments": "none"}`,
		"list of lists":      `{"attachments": [[]]}`,
		"labels of objects":  `{"labels": {"a": {}}}`,
		"status list":        `{"status": []}`,
		"a million levels":   `{"status": ` + nested(1_000_000) + `}`,
		"two answers":        `{"attachments": null}{"attachments": null}`,
		"null":               `null`,
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
			defer server.Close()
			webhook, err := hook.New(&hook.Config{Webhook: &hook.Webhook{URL: server.URL}})
			if err != nil {
				t.Fatal(err)
			}
			defer webhook.Close()
			w := newWorld(t, document, widget, attached("v1", "ConfigMap", "old", ""))
			w.Controller.sync = webhook
			if failure, ok := errors.AsType[*hook.Error](w.syncWidget(t)); !ok || failure.Reason != hook.BadAnswer {
				t.Errorf("got %v, want a bad answer", failure)
			}
			w.wantWrites(t)
		})
	}
}
