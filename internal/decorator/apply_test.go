// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"encoding/json"
	"reflect"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/shardctl/shardctl/internal/hook"
)

func value(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := utiljson.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name, observed, last, desired, want string
	}{
		{
			"set, change, remove, leave alone",
			`{"leave": 1, "change": 1, "remove": 1}`, `{"change": 1, "remove": 1}`, `{"change": 2, "set": 2}`,
			`{"leave": 1, "change": 2, "set": 2}`,
		},
		{
			"the same, deeper",
			`{"o": {"leave": 1, "change": 1, "remove": 1}}`, `{"o": {"change": 1, "remove": 1}}`, `{"o": {"change": 2, "set": 2}}`,
			`{"o": {"leave": 1, "change": 2, "set": 2}}`,
		},
		{"an object goes as a whole", `{"o": {"theirs": 1}, "k": 1}`, `{"o": {"ours": 1}}`, `{}`, `{"k": 1}`},
		{"other type", `{"a": {"b": 1}, "c": [1], "d": 1}`, `{}`, `{"a": "x", "c": {"y": 1}, "d": [2]}`, `{"a": "x", "c": {"y": 1}, "d": [2]}`},
		{"list of values is replaced", `{"l": [1, 2]}`, `{"l": [1]}`, `{"l": [3]}`, `{"l": [3]}`},
		{"list of objects without a key is replaced", `{"l": [{"x": 1}]}`, `{}`, `{"l": [{"y": 2}]}`, `{"l": [{"y": 2}]}`},
		{"list in which one has no key is replaced", `{"l": [{"name": "a"}, {"x": 1}]}`, `{}`, `{"l": [{"name": "b"}]}`, `{"l": [{"name": "b"}]}`},
		{
			"list by key",
			`{"l": [{"name": "theirs"}, {"name": "ours", "leave": 1, "remove": 1}, {"name": "former"}]}`,
			`{"l": [{"name": "ours", "remove": 1}, {"name": "former"}]}`,
			`{"l": [{"name": "ours", "set": 2}, {"name": "new"}]}`,
			`{"l": [{"name": "theirs"}, {"name": "ours", "leave": 1, "set": 2}, {"name": "new"}]}`,
		},
		{"list by key, emptied", `{"l": [{"name": "theirs"}, {"name": "former"}]}`, `{"l": [{"name": "former"}]}`, `{"l": []}`, `{"l": [{"name": "theirs"}]}`},
		{
			"our order, among theirs",
			`{"env": [{"name": "A"}, {"name": "X"}, {"name": "B"}]}`, `{"env": [{"name": "A"}, {"name": "B"}]}`,
			`{"env": [{"name": "B"}, {"name": "A"}]}`,
			`{"env": [{"name": "B"}, {"name": "X"}, {"name": "A"}]}`,
		},
		{
			"key that is a number", `{"ports": [{"port": 80, "nodePort": 30080}]}`, `{}`, `{"ports": [{"port": 80, "name": "web"}]}`,
			`{"ports": [{"port": 80, "nodePort": 30080, "name": "web"}]}`,
		},
		{
			"container port before name", `{"ports": [{"containerPort": 80, "name": "old", "protocol": "TCP"}]}`, `{}`, `{"ports": [{"containerPort": 80, "name": "new"}]}`,
			`{"ports": [{"containerPort": 80, "name": "new", "protocol": "TCP"}]}`,
		},
		{
			"one port, two protocols: by name",
			`{"ports": [{"port": 53, "name": "tcp", "nodePort": 1}, {"port": 53, "name": "udp", "nodePort": 2}]}`, `{}`,
			`{"ports": [{"port": 53, "name": "tcp"}, {"port": 53, "name": "udp"}]}`,
			`{"ports": [{"port": 53, "name": "tcp", "nodePort": 1}, {"port": 53, "name": "udp", "nodePort": 2}]}`,
		},
		{
			"one volume, mounted twice: by mount path",
			`{"m": [{"name": "v", "mountPath": "/a", "readOnly": true}, {"name": "v", "mountPath": "/b"}]}`, `{}`,
			`{"m": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a"}]}`,
			`{"m": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a", "readOnly": true}]}`,
		},
		{"large numbers", `{"n": 9007199254740992}`, `{"n": 9007199254740992}`, `{"n": 9007199254740993}`, `{"n": 9007199254740993}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			observed := value(t, tt.observed)
			got := merge(observed, value(t, tt.last), value(t, tt.desired))
			if !reflect.DeepEqual(got, any(value(t, tt.want))) {
				t.Errorf("got  %s\nwant %s", text(t, got), tt.want)
			}
			if !reflect.DeepEqual(observed, value(t, tt.observed)) {
				t.Error("observed was changed")
			}
		})
	}
}

// What is unlike in form only must not have an object written, or worse, created anew, at each sync.
func TestApplyFindsNothingToDo(t *testing.T) {
	applied := func(last string) string {
		return `, "metadata": {"name": "a", "annotations": {"metacontroller.k8s.io/last-applied-configuration": ` + string(must(json.Marshal(last))) + `}}`
	}
	tests := []struct{ name, observed, desired string }{
		{"the same", `{"spec": {"a": 1}` + applied(`{"metadata": {"name": "a"}, "spec": {"a": 1}}`) + `}`, `{"metadata": {"name": "a"}, "spec": {"a": 1}}`},
		{"defaults were added", `{"spec": {"a": 1, "b": 2}` + applied(`{"metadata": {"name": "a"}, "spec": {"a": 1}}`) + `}`, `{"metadata": {"name": "a"}, "spec": {"a": 1}}`},
		{"the server dropped a null", `{"spec": {"a": 1}` + applied(`{"metadata": {"name": "a"}, "spec": {"a": 1}}`) + `}`, `{"metadata": {"name": "a"}, "spec": {"a": 1, "b": null}}`},
		{"metacontroller noted a null", `{"spec": {"a": 1, "b": 2}` + applied(`{"metadata": {"name": "a", "creationTimestamp": null}, "spec": {"a": 1, "b": null}}`) + `}`, `{"metadata": {"name": "a", "creationTimestamp": null}, "spec": {"a": 1, "b": null}}`},
		{"the server keeps a null", `{"spec": {"l": [{"x": 1, "y": null}]}` + applied(`{"metadata": {"name": "a"}, "spec": {"l": [{"x": 1}]}}`) + `}`, `{"metadata": {"name": "a"}, "spec": {"l": [{"x": 1}]}}`},
		{"1.0 is 1", `{"spec": {"a": 1}` + applied(`{"metadata": {"name": "a"}, "spec": {"a": 1}}`) + `}`, `{"metadata": {"name": "a"}, "spec": {"a": 1.0}}`},
		{"status is not ours", `{"status": {"ready": 1}` + applied(`{"metadata": {"name": "a"}, "status": {"ready": 0}}`) + `}`, `{"metadata": {"name": "a"}, "status": {"ready": 0}}`},
		{"nor is what the server keeps", `{"spec": {}` + applied(`{"metadata": {"name": "a"}}`) + `}`, `{"metadata": {"name": "a", "uid": "x", "resourceVersion": "1", "generation": 4}}`},
		{
			"the hook sends back what it got", `{"spec": {"a": 1}` + applied(`{"metadata": {"name": "a", "annotations": {}}, "spec": {"a": 1}}`) + `}`,
			`{"spec": {"a": 1}` + applied(`{"metadata": {"name": "a", "annotations": {}}, "spec": {"a": 1}}`) + `}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desired := canonical(value(t, tt.desired)).(map[string]any)
			strip(desired)
			next, changed, err := apply(value(t, tt.observed), desired)
			if changed || err != nil {
				t.Errorf("got %s, %v", text(t, next), err)
			}
		})
	}
}

func TestApplyKeepsWhoseItIs(t *testing.T) {
	observed := value(t, `{"metadata": {"name": "a", "namespace": "ns", "uid": "a-uid", "resourceVersion": "5", "ownerReferences": [
		{"uid": "other", "name": "o"}, {"uid": "widget-uid", "name": "w", "controller": true}]}, "status": {"ready": 1}}`)
	for _, refs := range []string{
		`[]`,
		`[{"uid": "widget-uid", "name": "w", "controller": false}]`,
		`[{"name": "without uid"}, {"uid": "widget-uid"}, {"uid": "widget-uid"}]`,
	} {
		desired := value(t, `{"metadata": {"name": "b", "namespace": "", "ownerReferences": `+refs+`}, "status": {"ready": 7}}`)
		next, _, err := apply(observed, desired)
		if err != nil {
			t.Fatal(err)
		}
		metadata := next["metadata"].(map[string]any)
		if ref := controllerIn(metadata["ownerReferences"]); ref == nil || ref["uid"] != "widget-uid" {
			t.Errorf("%s leaves %s", refs, text(t, metadata["ownerReferences"]))
		}
		if metadata["name"] != "a" || metadata["namespace"] != "ns" || metadata["resourceVersion"] != "5" {
			t.Errorf("metadata is now %s", text(t, metadata))
		}
		if !reflect.DeepEqual(next["status"], observed["status"]) {
			t.Errorf("status is now %v", next["status"])
		}
	}
}

func TestApplyRefusesABrokenAnnotation(t *testing.T) {
	observed := value(t, `{"metadata": {"annotations": {"metacontroller.k8s.io/last-applied-configuration": "{"}}}`)
	if _, _, err := apply(observed, map[string]any{}); err == nil {
		t.Error("no error")
	}
}

// FuzzAnswer takes any answer through decoding, checking and merging: nothing panics, what is observed is
// not changed, and what was applied once needs not be applied again.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "new"}}]}`, `{"data": {"k": "old"}}`)
	f.Add(`{"labels": {"a": null}, "status": {"n": 1.5e300}, "resyncAfterSeconds": -0.0}`, `{}`)
	f.Add(`{"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {}, "ownerReferences": [{"uid": {}}]}, "spec": {"l": [{"name": "x"}, {"port": 1}]}}]}`,
		`{"metadata": {"ownerReferences": [{"uid": [], "controller": true}]}, "spec": {"l": [{"name": "x", "port": 1}, {"name": "y", "port": 2}]}}`)
	f.Add(`{"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"l": [{"name": 1, "uid": "1"}]}}]}`,
		`{"metadata": 7, "spec": {"l": [{"name": "1"}, {"name": null}]}}`)
	w := newWorld(f, document, widget)
	parent := w.caches[widgets].objects[0]
	f.Fuzz(func(t *testing.T, said, there string) {
		var a answer
		var observed map[string]any
		if hook.Decode([]byte(said), &a) != nil || utiljson.Unmarshal([]byte(there), &observed) != nil {
			return
		}
		a.resyncAfter()
		desired, err := w.check(parent, &a)
		if err != nil {
			return
		}
		before := text(t, observed)
		for _, d := range desired {
			once, _, err := apply(observed, d.desired)
			if err != nil {
				continue
			}
			// An order or a key that shows only now may take a second time, but no third.
			twice, _, err := apply(once, d.desired)
			if err != nil {
				t.Fatal(err)
			}
			if thrice, changed, err := apply(twice, d.desired); changed || err != nil {
				t.Errorf("does not settle (%v):\n%s\n%s\n%s\n%s", err, before, text(t, once), text(t, twice), text(t, thrice))
			}
		}
		if after := text(t, observed); after != before {
			t.Errorf("observed was %s and is now %s", before, after)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
