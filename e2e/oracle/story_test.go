// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

var (
	widgets    = schema.GroupResource{Group: "demo.example.com", Resource: "widgets"}
	configMaps = schema.GroupResource{Resource: "configmaps"}
	leases     = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
)

const (
	whole = "widgets.demo.example.com" // the shard of a type in one piece
	low   = whole + ".0-of-2"          // that of low
	high  = whole + ".1-of-2"          // that of high
	// Widgets, by their UIDs: the one is in the lower half of the positions, the other in the upper.
	lowUID  types.UID = "10000000-0000-4000-8000-000000000000"
	highUID types.UID = "f0000000-0000-4000-8000-000000000000"
	// tick is the time from one event to the next.
	tick = 10 * time.Millisecond
)

var storyBegan = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testConfig() Config {
	return Config{
		Group: "demo", Namespace: "ns",
		Types: []TypeRule{{Resource: widgets, Kind: "Widget", Children: []schema.GroupResource{configMaps}}},
	}
}

// story is a history in the making. Every event has the next revision, from 1.
type story struct {
	History
	current map[Key]*Object
}

func newStory() *story { return &story{current: map[Key]*Object{}} }

func pod(name string) Writer {
	if name == "" {
		return Writer{User: "somebody else"}
	}
	return Writer{Pod: types.UID(name + "-uid"), PodName: name}
}

// session is an identity of a Pod.
func session(pod string) string { return pod + "_" + pod + "-uid_controller.boot.1" }

func (s *story) now() (revision int64, at time.Time) {
	n := len(s.Writes) + 1
	return int64(n), storyBegan.Add(time.Duration(n) * tick)
}

// add appends an event by a Pod, of which the audit log tells.
func (s *story) add(by string, key Key, o *Object) *Write {
	revision, at := s.now()
	e := Event{Revision: revision, At: at, Key: key, Deleted: o == nil, Object: o, Previous: s.current[key]}
	if s.current[key] = o; o == nil {
		e.Object = e.Previous
	}
	s.Writes = append(s.Writes, Write{Event: e, Writer: pod(by), Evidence: ByAudit})
	return &s.Writes[len(s.Writes)-1]
}

// lease says that a shard is held by a session of a Pod, or by nobody; the Pod itself writes that.
func (s *story) lease(shard, holder string) *Write {
	l := &Lease{}
	if holder != "" {
		l.Holder = session(holder)
	}
	return s.leaseBy(holder, shard, l)
}

func (s *story) leaseBy(by, shard string, l *Lease) *Write {
	return s.add(by, Key{leases, "ns", lease.ShardLeaseName("demo", shard)}, &Object{UID: "lease", Lease: l, Settled: true})
}

func widgetKey(uid types.UID) Key { return Key{widgets, "ns", "w-" + string(uid)[:1]} }

// widget writes the widget of a UID.
func (s *story) widget(by string, uid types.UID) *Write {
	return s.add(by, widgetKey(uid), &Object{UID: uid, Settled: true})
}

// child writes the ConfigMap of a widget.
func (s *story) child(by string, owner types.UID) *Write {
	return s.add(by, Key{configMaps, "ns", "c-" + string(owner)[:1]}, &Object{
		UID: "child", Settled: true,
		Controller: &metav1.OwnerReference{APIVersion: "demo.example.com/v1", Kind: "Widget", Name: "w-" + string(owner)[:1], UID: owner},
	})
}

// judge judges all of the story.
func (s *story) judge() Verdict {
	revision, _ := s.now()
	return Judge(testConfig(), s.History, Window{To: revision})
}

// checkErr fails the test unless the error has these words, or is nil if there are none.
func checkErr(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		if len(words) > 0 {
			t.Errorf("no error, want one that says %q", words)
		}
		return
	}
	if len(words) == 0 {
		t.Errorf("error: %v", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
