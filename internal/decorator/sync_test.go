// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/hook"
)

func TestParentIsDecorated(t *testing.T) {
	decorated := widget + "  annotations: {note: old}\nstatus: {ready: 1, parts: [a]}\n"
	tests := []struct {
		name, parent, answer string
		noSubresource        bool
		want                 []string
		object               string // labels, annotations and status afterwards
	}{
		{
			name: "label set", parent: widget, answer: `{"labels": {"tier": "1"}}`, want: []string{"update widgets ns/w"},
			object: `map[decorate:yes tier:1] map[] <nil>`,
		},
		{
			name: "label deleted", parent: widget, answer: `{"labels": {"decorate": null}}`, want: []string{"update widgets ns/w"},
			object: `map[] map[] <nil>`,
		},
		{
			name: "annotation changed", parent: decorated, answer: `{"annotations": {"note": "new"}}`, want: []string{"update widgets ns/w"},
			object: `map[decorate:yes] map[note:new] map[parts:[a] ready:1]`,
		},
		{
			name: "status replaced", parent: decorated, answer: `{"status": {"ready": 2}}`, want: []string{"update widgets/status ns/w"},
			object: `map[decorate:yes] map[note:old] map[ready:2]`,
		},
		{
			name: "status emptied", parent: decorated, answer: `{"status": {}}`, want: []string{"update widgets/status ns/w"},
			object: `map[decorate:yes] map[note:old] map[]`,
		},
		{
			name: "status and label", parent: decorated, answer: `{"status": {"ready": 2}, "labels": {"tier": "1"}}`,
			want:   []string{"update widgets/status ns/w", "update widgets ns/w"},
			object: `map[decorate:yes tier:1] map[note:old] map[ready:2]`,
		},
		{
			name: "status without subresource", parent: decorated, answer: `{"status": {"ready": 2}}`, noSubresource: true,
			want: []string{"update widgets ns/w"}, object: `map[decorate:yes] map[note:old] map[ready:2]`,
		},
		{
			name: "nothing said", parent: decorated, answer: `{}`,
			object: `map[decorate:yes] map[note:old] map[parts:[a] ready:1]`,
		},
		{
			name: "nothing new", parent: decorated,
			answer: `{"labels": {"decorate": "yes", "gone": null}, "annotations": {"note": "old"}, "status": {"ready": 1.0, "parts": ["a"], "none": null}}`,
			object: `map[decorate:yes] map[note:old] map[parts:[a] ready:1]`,
		},
		{
			name: "status null", parent: decorated, answer: `{"status": null}`,
			object: `map[decorate:yes] map[note:old] map[parts:[a] ready:1]`,
		},
		{
			name: "empty status of an object that has none", parent: widget, answer: `{"status": {}}`,
			object: `map[decorate:yes] map[] <nil>`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, document, tt.parent)
			w.statuses = !tt.noSubresource
			w.sync.answer = tt.answer
			if err := w.syncWidget(t); err != nil {
				t.Fatal(err)
			}
			w.wantWrites(t, tt.want...)
			got := w.get(t, widgets, "ns", "w")
			if s := show(got.GetLabels(), got.GetAnnotations(), got.Object["status"]); s != tt.object {
				t.Errorf("it is now %s, want %s", s, tt.object)
			}
		})
	}
}

func TestWhoseHookIsCalled(t *testing.T) {
	deleted := "  deletionTimestamp: 2026-03-01T12:00:00Z\n"
	ours := "  finalizers: [metacontroller.io/decoratorcontroller-tester]\n"
	held := "  finalizers: [example.com/hold]\n"
	unselected := replace(widget, `"yes"`, `"no"`)
	tests := []struct {
		name, document, parent string
		sync, finalize         int
		want                   []string
	}{
		{"selected", document, widget, 1, 0, nil},
		{"not selected", document, unselected, 0, 0, nil},
		{"selected, finalizer is put on first", withFinalize, widget, 1, 0, []string{"update widgets ns/w"}},
		{"selected, has the finalizer", withFinalize, widget + ours, 1, 0, nil},
		{"not selected, never was", withFinalize, unselected, 0, 0, nil},
		{"no longer selected", withFinalize, unselected + ours, 0, 1, nil},
		{"deleted", withFinalize, widget + deleted + ours, 0, 1, nil},
		{"deleted, not ours to finalize", withFinalize, widget + deleted + held, 0, 1, nil},
		{"deleted, without finalize hook", document, widget + deleted + held, 1, 0, nil},
		{"finalizer left of a former finalize hook", document, widget + ours, 1, 0, []string{"update widgets ns/w"}},
		{"the same, no longer selected", document, unselected + ours, 0, 0, []string{"update widgets ns/w"}},
		{"the same, deleted", document, widget + deleted + ours, 1, 0, []string{"update widgets ns/w"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.document, tt.parent)
			if err := w.syncWidget(t); err != nil {
				t.Fatal(err)
			}
			if s, f := len(w.sync.requests), len(w.finalize.requests); s != tt.sync || f != tt.finalize {
				t.Errorf("%d syncs and %d finalizes, want %d and %d", s, f, tt.sync, tt.finalize)
			}
			w.wantWrites(t, tt.want...)
		})
	}
}

func TestParentThatDoesNotExist(t *testing.T) {
	w := newWorld(t, document)
	again, err := w.Sync(t.Context(), widgets, "ns", "w")
	if again != 0 || err != nil || len(w.sync.requests) != 0 {
		t.Errorf("got %s, %v, %d calls", again, err, len(w.sync.requests))
	}
}

func TestFinalize(t *testing.T) {
	ours := "  finalizers: [example.com/hold, metacontroller.io/decoratorcontroller-tester]\n"
	deleted := widget + "  deletionTimestamp: 2026-03-01T12:00:00Z\n" + ours
	a := attached("v1", "ConfigMap", "a", "")
	tests := []struct {
		name, parent, answer string
		want                 []string
		finalizers           []string
	}{
		{
			"not done", deleted, `{"finalized": false}`,
			[]string{"delete configmaps ns/a"},
			[]string{"example.com/hold", "metacontroller.io/decoratorcontroller-tester"},
		},
		{
			"done: the finalizer goes last", deleted, `{"finalized": true, "labels": {"bye": "yes"}}`,
			[]string{"update widgets ns/w", "delete configmaps ns/a", "update widgets ns/w"},
			[]string{"example.com/hold"},
		},
		{
			"no longer selected", replace(widget, `"yes"`, `"no"`) + ours, `{"finalized": true}`,
			[]string{"delete configmaps ns/a", "update widgets ns/w"},
			[]string{"example.com/hold"},
		},
		{
			"the garbage collector is at work", replace(deleted, "example.com/hold", "foregroundDeletion"), `{"finalized": true}`,
			[]string{"update widgets ns/w"},
			[]string{"foregroundDeletion"},
		},
		{
			"our finalizer is gone", replace(deleted, ", metacontroller.io/decoratorcontroller-tester", ""), `{"finalized": true}`,
			nil,
			[]string{"example.com/hold"},
		},
		{
			"sync hooks do not finalize", widget + ours, `{"finalized": true}`,
			[]string{"delete configmaps ns/a"},
			[]string{"example.com/hold", "metacontroller.io/decoratorcontroller-tester"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, withFinalize, tt.parent, a)
			w.finalize.answer, w.sync.answer = tt.answer, tt.answer
			if err := w.syncWidget(t); err != nil {
				t.Fatal(err)
			}
			w.wantWrites(t, tt.want...)
			if got := w.get(t, widgets, "ns", "w").GetFinalizers(); !reflect.DeepEqual(got, tt.finalizers) {
				t.Errorf("finalizers %v, want %v", got, tt.finalizers)
			}
		})
	}
}

func TestFinalizerStaysWhileAnAttachmentFails(t *testing.T) {
	w := newWorld(t, withFinalize, widget+"  deletionTimestamp: 2026-03-01T12:00:00Z\n  finalizers: [metacontroller.io/decoratorcontroller-tester]\n",
		attached("v1", "ConfigMap", "a", ""))
	w.finalize.answer = `{"finalized": true}`
	w.fail("delete", "configmaps", errors.New("no"))
	if err := w.syncWidget(t); err == nil {
		t.Error("no error")
	}
	w.wantWrites(t, "delete configmaps ns/a")
}

func TestFailedParentWrites(t *testing.T) {
	conflict := apierrors.NewConflict(widgets.GroupResource(), "w", errors.New("changed"))
	gone := apierrors.NewNotFound(widgets.GroupResource(), "w")
	const answer = `{"status": {"ready": 2}, "attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]}`
	for _, document := range []string{document, withFinalize} {
		for _, failure := range []error{conflict, gone} {
			w := newWorld(t, document, widget)
			w.sync.answer = answer
			w.fail("update", "widgets", failure)
			again, err := w.Sync(t.Context(), widgets, "ns", "w")
			if failure == conflict && !errors.Is(err, conflict) {
				t.Errorf("got %v, want the conflict, so that the sync is done again", err)
			}
			if failure == gone && (err != nil || again != recheckGone) {
				t.Errorf("got %s, %v, though nothing is left to do but to look again", again, err)
			}
			if len(w.writes()) != 1 {
				t.Errorf("wrote %q, want nothing after the failure", w.writes())
			}
		}
	}
}

func TestNoHookBeforeEveryCacheHasSynced(t *testing.T) {
	for gvr := range kinds {
		if gvr == stages {
			continue // another type of parents: see below
		}
		t.Run(gvr.Resource, func(t *testing.T) {
			w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
			w.caches[gvr].unsynced = true
			if w.Synced(widgets) {
				t.Error("Synced")
			}
			if err := w.syncWidget(t); !errors.Is(err, ErrNotSynced) {
				t.Errorf("got %v, want ErrNotSynced", err)
			}
			if len(w.sync.requests) != 0 {
				t.Error("the hook was called")
			}
			w.wantWrites(t)
		})
	}
}

func TestAnotherTypeOfParentsHoldsUpNothing(t *testing.T) {
	w := newWorld(t, document, widget)
	w.caches[stages].unsynced = true
	if !w.Synced(widgets) || w.Synced(stages) {
		t.Error("Synced does not tell the types apart")
	}
	if err := w.syncWidget(t); err != nil {
		t.Errorf("got %v", err)
	}
	if len(w.sync.requests) != 1 {
		t.Errorf("the hook was called %d times, want once", len(w.sync.requests))
	}
}

func TestAnswerIsDroppedIfTheTermEndedMeanwhile(t *testing.T) {
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "old", ""))
	w.sync.answer = `{"labels": {"a": "b"}, "status": {"ready": 1},
		"attachments": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}]}`
	over := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	w.sync.during = func() { cancel(over) }
	if _, err := w.Sync(ctx, widgets, "ns", "w"); !errors.Is(err, over) {
		t.Errorf("got %v, want the term's cause", err)
	}
	w.wantWrites(t)
}

func TestNothingIsDoneAfterTheTerm(t *testing.T) {
	over := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	for _, document := range []string{document, withFinalize} {
		w := newWorld(t, document, widget)
		if _, err := w.Sync(ctx, widgets, "ns", "w"); !errors.Is(err, over) {
			t.Errorf("got %v, want the term's cause", err)
		}
		if len(w.sync.requests) != 0 {
			t.Error("the hook was called")
		}
		w.wantWrites(t)
	}
}

func TestFailedHookChangesNothing(t *testing.T) {
	boom := errors.New("boom")
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
	w.sync.err = boom
	again, err := w.Sync(t.Context(), widgets, "ns", "w")
	if !errors.Is(err, boom) || again != 0 {
		t.Errorf("got %s, %v, want boom and the queue's own back-off", again, err)
	}
	w.wantWrites(t)
}

// The whole way, over HTTP: a hook that wants to be left alone is, and says so in the error.
func TestThrottlingHookIsLeftAlone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	webhook, err := hook.New(&hook.Config{Webhook: &hook.Webhook{URL: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer webhook.Close()
	w := newWorld(t, document, widget, attached("v1", "ConfigMap", "a", ""))
	w.Controller.sync = webhook
	again, err := w.Sync(t.Context(), widgets, "ns", "w")
	if again != 20*time.Second || err == nil || !strings.Contains(err.Error(), "status 429") {
		t.Errorf("got %s, %v, want 20s and status 429", again, err)
	}
	w.wantWrites(t)
}

func TestWhenToSyncAgain(t *testing.T) {
	withPeriod := replace(document, "spec:\n", "spec:\n  resyncPeriodSeconds: 30\n")
	tests := []struct {
		name, document, answer string
		want                   time.Duration
	}{
		{"never", document, `{}`, 0},
		{"by period", withPeriod, `{}`, 30 * time.Second},
		{"by answer", document, `{"resyncAfterSeconds": 1.5}`, 1500 * time.Millisecond},
		{"answer is sooner", withPeriod, `{"resyncAfterSeconds": 5}`, 5 * time.Second},
		{"period is sooner", withPeriod, `{"resyncAfterSeconds": 60}`, 30 * time.Second},
		{"zero", document, `{"resyncAfterSeconds": 0}`, 0},
		{"negative", withPeriod, `{"resyncAfterSeconds": -1}`, 30 * time.Second},
		{"next to nothing", document, `{"resyncAfterSeconds": 1e-12}`, minResync},
		{"an eternity", document, `{"resyncAfterSeconds": 1e300}`, maxResync},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.document, widget)
			w.sync.answer = tt.answer
			again, err := w.Sync(t.Context(), widgets, "ns", "w")
			if again != tt.want || err != nil {
				t.Errorf("got %s, %v, want %s", again, err, tt.want)
			}
		})
	}
}

func TestTypeThatIsNotDecorated(t *testing.T) {
	w := newWorld(t, document)
	if _, err := w.Sync(t.Context(), pods, "ns", "p"); err == nil {
		t.Error("no error")
	}
}

func TestStatusLookupFailureFailsTheSync(t *testing.T) {
	w := newWorld(t, document, widget)
	w.sync.answer = `{"status": {"ready": 1}}`
	down := errors.New("down")
	w.hasStatus = func(context.Context, schema.GroupVersionResource) (bool, error) { return false, down }
	if err := w.syncWidget(t); !errors.Is(err, down) {
		t.Errorf("got %v, want down", err)
	}
	w.wantWrites(t)
}
