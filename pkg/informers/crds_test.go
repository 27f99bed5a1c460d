// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
)

// rarely makes polling useless, so that only the watch on CRDs can help.
const rarely = 24 * time.Hour

func newMetadataClient(t *testing.T) *metadatafake.FakeMetadataClient {
	t.Helper()
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return metadatafake.NewSimpleMetadataClient(scheme)
}

// changeCRD makes the watch on CRDs say that one was created or changed.
func changeCRD(t *testing.T, client *metadatafake.FakeMetadataClient, name, resourceVersion string) {
	t.Helper()
	crd := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: resourceVersion},
	}
	err := client.Tracker().Create(crdResource, crd, "")
	if apierrors.IsAlreadyExists(err) {
		err = client.Tracker().Update(crdResource, crd, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCRDWatchFindsTypeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, crds := newAPIServer(), newMetadataClient(t)
		set := newSet(t, api, Options{Metadata: crds, MaxPollInterval: rarely})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		time.Sleep(48 * time.Hour)
		wantPhase(t, informer, Missing)

		changeCRD(t, crds, "widgets.example.com", "1")
		time.Sleep(500 * time.Millisecond)
		wantPhase(t, informer, Missing)
		api.serve(widgets)
		changeCRD(t, crds, "widgets.example.com", "2") // Established
		within(t, time.Second, informer)
	})
}

// Discovery follows a CRD with a delay.
func TestCRDWatchMakesDiscoveryBeAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, crds := newAPIServer(), newMetadataClient(t)
		set := newSet(t, api, Options{Metadata: crds, MaxPollInterval: rarely})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		time.Sleep(48 * time.Hour)

		changeCRD(t, crds, "widgets.example.com", "1")
		time.Sleep(700 * time.Millisecond)
		api.serve(widgets)
		within(t, time.Second, informer)
	})
}

func TestCRDOfAnotherGroupChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, crds := newAPIServer(), newMetadataClient(t)
		set := newSet(t, api, Options{Metadata: crds, MaxPollInterval: rarely})
		set.Watch(widgets)
		start(t, t.Context(), set)
		time.Sleep(time.Hour)
		asked := api.count("discover example.com/v1")
		changeCRD(t, crds, "widgets.other.example.com", "1")
		time.Sleep(time.Minute)
		if n := api.count("discover example.com/v1") - asked; n > 1 { // one poll may be due
			t.Fatalf("%d discovery requests because of a CRD of another group", n)
		}
	})
}

func TestCRDWatchAllowsSlowPolling(t *testing.T) {
	tests := []struct {
		name        string
		metadata    func(t *testing.T) metadata.Interface
		least, most int // discovery requests in ten minutes
	}{
		{name: "watched", metadata: func(t *testing.T) metadata.Interface {
			t.Helper()
			return newMetadataClient(t)
		}, least: 15, most: 30},
		{name: "forbidden", metadata: func(t *testing.T) metadata.Interface {
			t.Helper()
			client := newMetadataClient(t)
			client.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, forbidden(crdResource)
			})
			return client
		}, least: 240, most: 310},
		{name: "no metadata client", metadata: func(*testing.T) metadata.Interface { return nil }, least: 240, most: 310},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newAPIServer()
				set := newSet(t, api, Options{Metadata: test.metadata(t)})
				set.Watch(widgets)
				start(t, t.Context(), set)
				time.Sleep(10 * time.Minute)
				if n := api.count("discover example.com/v1"); n < test.least || n > test.most {
					t.Fatalf("%d discovery requests in 10 minutes, want %d to %d", n, test.least, test.most)
				}
			})
		})
	}
}

func TestCRDsAreWatchedWhileATypeIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, crds := newAPIServer(gadgets), newMetadataClient(t)
		set := newSet(t, api, Options{Metadata: crds})
		served := set.Watch(gadgets)
		start(t, t.Context(), set)
		within(t, time.Second, served)
		if n := len(crds.Actions()); n != 0 {
			t.Fatalf("%d requests on CRDs although nothing is missing", n)
		}

		missing := set.Watch(widgets)
		time.Sleep(time.Second)
		if n := len(crds.Actions()); n != 2 {
			t.Fatalf("requests on CRDs: %v, want a list and a watch", crds.Actions())
		}
		missing.Release()
		time.Sleep(time.Hour)
		if n := len(crds.Actions()); n != 2 {
			t.Fatalf("requests on CRDs after nothing was missing any more: %v", crds.Actions()[2:])
		}
	})
}
