// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestOptions(t *testing.T) {
	_, err := Start(t.Context(), Options{From: -2, MaxEvents: -1})
	checkErr(t, err, "endpoints: none are given", "from: -2 is negative", "maxEvents: -1 is negative")
}

func newRecorder(t *testing.T, o Options) *Recorder {
	t.Helper()
	o.Endpoints = []string{"unused"}
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &Recorder{options: o, current: map[Key]*Object{}}
}

func put(revision int64, key, value string) *clientv3.Event {
	return &clientv3.Event{Type: mvccpb.PUT, Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: revision}}
}

func remove(revision int64, key string) *clientv3.Event {
	return &clientv3.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(key), ModRevision: revision}}
}

const (
	widgetPlace = "/registry/demo.example.com/widgets/ns/w"
	widgetJSON  = `{"apiVersion":"demo.example.com/v1","kind":"Widget","metadata":{"uid":"u"}}`
)

// An event has what was there before it. What is not of interest is not even decoded.
func TestRecorderTakes(t *testing.T) {
	r := newRecorder(t, Options{Keep: InNamespaces("ns")})
	for _, e := range []*clientv3.Event{
		put(1, widgetPlace, widgetJSON),
		put(2, "/registry/demo.example.com/widgets/elsewhere/w", "nonsense"),
		put(3, "/registry/namespaces/ns", "nonsense"),
		put(4, widgetPlace, widgetJSON),
		remove(5, widgetPlace),
	} {
		if err := r.take(e, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	events := r.Events()
	if len(events) != 3 || len(r.current) != 0 {
		t.Fatalf("events %+v, current %v; want 3 and none", events, r.current)
	}
	created, updated, deleted := events[0], events[1], events[2]
	if created.Revision != 1 || created.Previous != nil || created.Deleted || created.Key != (Key{widgets, "ns", "w"}) {
		t.Errorf("created: %+v", created)
	}
	if updated.Revision != 4 || updated.Previous != created.Object || updated.Object == created.Object || updated.Deleted {
		t.Errorf("updated: %+v", updated)
	}
	if deleted.Revision != 5 || deleted.Object != updated.Object || deleted.Previous != updated.Object || !deleted.Deleted {
		t.Errorf("deleted: %+v", deleted)
	}
}

// A recorder that begins later knows nothing of what was deleted then, and goes on.
func TestRecorderBeginsLater(t *testing.T) {
	r := newRecorder(t, Options{From: 2})
	for _, e := range []*clientv3.Event{remove(2, "/registry/demo.example.com/widgets/ns/v"), put(3, widgetPlace, widgetJSON)} {
		if err := r.take(e, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if events := r.Events(); len(events) != 1 || events[0].Revision != 3 {
		t.Errorf("events %+v, want that of revision 3", events)
	}
}

func TestRecorderDoesNotGuess(t *testing.T) {
	for _, test := range []struct {
		name  string
		event *clientv3.Event
		want  string
	}{
		{"more than may be kept", put(2, widgetPlace, widgetJSON), "1 events already"},
		{"what cannot be read", put(2, widgetPlace, "nonsense"), "JSON"},
		{"what was never created", remove(2, "/registry/demo.example.com/widgets/ns/v"), "never created"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder(t, Options{MaxEvents: 1})
			if err := r.take(put(1, widgetPlace, widgetJSON), time.Now()); err != nil {
				t.Fatal(err)
			}
			checkErr(t, r.take(test.event, time.Now()), test.want)
		})
	}
}
