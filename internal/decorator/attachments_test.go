// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

func replace(text, old, with string) string {
	if !strings.Contains(text, old) {
		panic("no " + old)
	}
	return strings.ReplaceAll(text, old, with)
}

// stageOwns gives an attachment of the widget to the stage.
func stageOwns(text string) string {
	return replace(replace(text, "kind: Widget, name: w", "kind: Stage, name: s"), "uid: widget-uid", "uid: stage-uid")
}

func TestAttachmentIsCreated(t *testing.T) {
	w := newWorld(t, document, widget)
	w.sync.answer = `{"attachments": [{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": {"name": "a", "annotations": {"note": "x"}, "creationTimestamp": null, "resourceVersion": "7"},
		"data": {"n": 9007199254740993, "f": 1.0, "none": null}}]}`
	if err := w.syncWidget(t); err != nil {
		t.Fatal(err)
	}
	w.wantWrites(t, "create configmaps ns/a")
	created, err := w.get(t, configMaps, "ns", "a").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "created.json", created)

	w.settle(t)
	if err := w.syncWidget(t); err != nil {
		t.Fatal(err)
	}
	w.wantWrites(t)
}

func TestAttachmentsOfAClusterScopedParent(t *testing.T) {
	w := newWorld(t, document, stage)
	w.sync.answer = `{"attachments": [
		{"apiVersion": "example.com/v1", "kind": "Zone", "metadata": {"name": "z"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "one"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "two"}}]}`
	if _, err := w.Sync(t.Context(), stages, "", "s"); err != nil {
		t.Fatal(err)
	}
	w.wantWrites(t, "create zones z", "create configmaps one/a", "create configmaps two/a")

	w.settle(t)
	w.sync.answer = `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "two"}}]}`
	if _, err := w.Sync(t.Context(), stages, "", "s"); err != nil {
		t.Fatal(err)
	}
	w.wantWrites(t, "delete configmaps one/a", "delete zones z")
}

func TestAttachmentsThatAreThereAlready(t *testing.T) {
	const configMap = `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "new"}}]}`
	const pod = `{"attachments": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"k": "new"}}]}`
	const zone = `{"attachments": [{"apiVersion": "example.com/v1", "kind": "Zone", "metadata": {"name": "a"}, "spec": {"k": "new"}}]}`
	going := "  deletionTimestamp: 2026-03-01T12:00:00Z\n"
	tests := []struct {
		name, object, answer string
		want                 []string
	}{
		{"in place", attached("v1", "ConfigMap", "a", "data: {k: old}"), configMap, []string{"update configmaps ns/a"}},
		{"recreate: deleted first", attached("v1", "Pod", "a", "spec: {k: old}"), pod, []string{"delete pods ns/a"}},
		{"on delete: left alone", replace(stageOwns(attached("example.com/v1", "Zone", "a", "spec: {k: old}")), "  namespace: ns\n", ""), zone, nil},
		{"in place, being deleted: left alone", attached("v1", "ConfigMap", "a", going+"data: {k: old}"), configMap, nil},
		{"recreate, being deleted: left alone", attached("v1", "Pod", "a", going+"spec: {k: old}"), pod, nil},
		{"omitted", attached("v1", "ConfigMap", "a", ""), `{}`, []string{"delete configmaps ns/a"}},
		{"omitted, attachments null", attached("v1", "ConfigMap", "a", ""), `{"attachments": null}`, []string{"delete configmaps ns/a"}},
		{"omitted, being deleted", attached("v1", "ConfigMap", "a", going), `{}`, nil},
		{"not ours and not mentioned", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}", `{}`, nil},
		{"of the widget's own controller", replace(attached("v1", "ConfigMap", "a", ""), "    metacontroller.k8s.io/decorator-controller: tester\n", ""), `{}`, nil},
		{"of another decorator", replace(attached("v1", "ConfigMap", "a", ""), "controller: tester", "controller: other"), `{}`, nil},
		{"of another widget", replace(attached("v1", "ConfigMap", "a", ""), "uid: widget-uid", "uid: another-uid"), `{}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, document, widget, stage, tt.object)
			w.sync.answer = tt.answer
			gvr, namespace, name := widgets, "ns", "w"
			if strings.Contains(tt.object, "Zone") {
				gvr, namespace, name = stages, "", "s"
			}
			if _, err := w.Sync(t.Context(), gvr, namespace, name); err != nil {
				t.Fatal(err)
			}
			w.wantWrites(t, tt.want...)
		})
	}
}

func TestDeleteNamesTheUID(t *testing.T) {
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
	if err := w.syncWidget(t); err != nil {
		t.Fatal(err)
	}
	for _, action := range w.client.Actions() {
		if action, ok := action.(clienttesting.DeleteActionImpl); ok {
			o := action.DeleteOptions
			if o.Preconditions == nil || *o.Preconditions.UID != "a-uid" || *o.PropagationPolicy != "Background" {
				t.Errorf("options %+v, want the UID a-uid and Background", o)
			}
			return
		}
	}
	t.Error("nothing was deleted")
}

func TestAttachmentInTheWayIsLeftAlone(t *testing.T) {
	inTheWay := map[string]string{
		"of nobody":            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: ns}\ndata: {k: theirs}",
		"of another widget":    replace(attached("v1", "ConfigMap", "a", "data: {k: theirs}"), "uid: widget-uid", "uid: another-uid"),
		"of another decorator": replace(attached("v1", "ConfigMap", "a", "data: {k: theirs}"), "controller: tester", "controller: other"),
	}
	for name, text := range inTheWay {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, cached %t", name, cached), func(t *testing.T) {
				w := newWorld(t, document, widget, text)
				if !cached {
					w.caches[configMaps].objects = nil
				}
				w.sync.answer = `{"labels": {"synced": "yes"}, "attachments": [
					{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "ours"}},
					{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}]}`
				err := w.syncWidget(t)
				if !errors.Is(err, ErrNotOurs) || !strings.Contains(err.Error(), "ConfigMap ns/a") {
					t.Errorf("got %v, want ErrNotOurs for ConfigMap ns/a", err)
				}
				want := []string{"update widgets ns/w", "create configmaps ns/a", "create configmaps ns/b"}
				if cached {
					want = []string{"update widgets ns/w", "create configmaps ns/b"}
				}
				w.wantWrites(t, want...)
				if k := w.get(t, configMaps, "ns", "a").Object["data"].(map[string]any)["k"]; k != "theirs" {
					t.Errorf("data.k is %v", k)
				}
			})
		}
	}
}

func TestAttachmentThatTheCacheDoesNotShowYetIsNoError(t *testing.T) {
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
	w.caches[configMaps].objects = nil
	w.sync.answer = `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "new"}}]}`
	if err := w.syncWidget(t); err != nil {
		t.Error(err)
	}
	w.wantWrites(t, "create configmaps ns/a")
}

func TestAttachmentThatTheCacheShowsOnlyAfterTheCallIsNoError(t *testing.T) {
	w := newWorld(t, document, widget)
	w.sync.answer = `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "new"}}]}`
	w.sync.during = func() {
		w.caches[configMaps].objects = append(w.caches[configMaps].objects, object(t, attached("v1", "ConfigMap", "a", "")))
	}
	if err := w.syncWidget(t); err != nil {
		t.Error(err)
	}
	w.wantWrites(t)
}

func TestFailedAttachmentDoesNotHoldUpTheOthers(t *testing.T) {
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "old", ""))
	w.sync.answer = `{"attachments": [
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}]}`
	quota, conflict := errors.New("quota exceeded"), apierrors.NewConflict(configMaps.GroupResource(), "old", errors.New("uid"))
	w.fail("create", "configmaps", quota)
	w.fail("delete", "configmaps", conflict)
	err := w.syncWidget(t)
	if !errors.Is(err, quota) || !errors.Is(err, conflict) {
		t.Errorf("got %v, want both failures", err)
	}
	w.wantWrites(t, "delete configmaps ns/old", "create configmaps ns/a", "create configmaps ns/b")
}

func TestManyFailuresMakeAShortError(t *testing.T) {
	w := newWorld(t, document, widget)
	var wanted []string
	for i := range 100 {
		wanted = append(wanted, fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a%d"}}`, i))
	}
	w.sync.answer = `{"attachments": [` + strings.Join(wanted, ",") + `]}`
	w.client.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("quota exceeded")
	})
	err := w.syncWidget(t)
	if err == nil || !strings.HasSuffix(err.Error(), "and 95 more") || len(err.Error()) > 1000 {
		t.Errorf("got %v", err)
	}
}

func TestAttachmentThatIsGoneMeanwhileIsNoError(t *testing.T) {
	gone := apierrors.NewNotFound(configMaps.GroupResource(), "a")
	for verb, answer := range map[string]string{
		"update": `{"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "new"}}]}`,
		"delete": `{}`,
	} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
			w.sync.answer = answer
			w.fail(verb, "configmaps", gone)
			if err := w.syncWidget(t); err != nil {
				t.Error(err)
			}
			w.wantWrites(t, verb+" configmaps ns/a")
		})
	}
}

func TestTermThatEndsBetweenTwoWritesStopsTheSecond(t *testing.T) {
	w := newWorld(t, document, widget)
	w.sync.answer = `{"attachments": [
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}]}`
	over := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.client.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		cancel(over)
		return false, nil, nil
	})
	if _, err := w.Sync(ctx, widgets, "ns", "w"); !errors.Is(err, over) {
		t.Errorf("got %v, want the term's cause", err)
	}
	w.wantWrites(t, "create configmaps ns/a")
}
