// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"), object(widgets, "ns", "b"))
		set := newSet(t, api, Options{})
		i, missing := set.Watch(widgets), set.Watch(gadgets)
		defer i.Release()
		defer missing.Release()
		start(t, t.Context(), set)
		within(t, time.Second, i)

		list, refused := Request{Verb: "list"}, Request{Verb: "list", Failed: true}
		measure := func() (gadget, widget Measurement) {
			t.Helper()
			all := set.Measure()
			if len(all) != 2 || all[0].Resource != gadgets || all[1].Resource != widgets {
				t.Fatalf("measured %+v, want both types", all)
			}
			return all[0], all[1]
		}
		absent, served := measure()
		if absent.Synced || absent.Objects != 0 || absent.Failing != 0 || len(absent.Requests) != 0 {
			t.Errorf("the type that is not served: %+v", absent)
		}
		if !served.Synced || served.Objects != 2 || served.Failing != 0 || served.Requests[list] == 0 || served.Requests[refused] != 0 {
			t.Errorf("the type that is: %+v", served)
		}

		api.refuse(widgets, forbidden(widgets))
		time.Sleep(time.Minute)
		_, served = measure()
		if !served.Synced || served.Objects != 2 || served.Failing < 59*time.Second || served.Requests[refused] == 0 {
			t.Errorf("refused for a minute: %+v", served)
		}
		api.refuse(widgets, nil)
		time.Sleep(2 * time.Minute)
		if _, served = measure(); served.Failing != 0 {
			t.Errorf("answered again: %+v", served)
		}
	})
}

func TestMeasureForgetsWhatIsNotWatched(t *testing.T) {
	set := newSet(t, newAPIServer(widgets), Options{})
	set.Watch(widgets).Release()
	if all := set.Measure(); len(all) != 0 {
		t.Errorf("measured %+v", all)
	}
}
