// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

// leaseServer answers every request with a Lease of one name.
func leaseServer(t *testing.T, holder *string) *httptest.Server {
	codec := scheme.Codecs.LegacyCodec(coordinationv1.SchemeGroupVersion)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "of-1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		lease.Spec.HolderIdentity = ptr.To(*holder)
		w.Header().Set("Content-Type", "application/json")
		body, err := runtime.Encode(codec, lease)
		if err == nil {
			_, err = w.Write(body)
		}
		if err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// What an elector reads of another's Lease is noted once, and reaches the elector.
func TestSightings(t *testing.T) {
	holder := ""
	server := leaseServer(t, &holder)
	r, noted := newTestReplica(t)
	r.config = &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(r.sighting(func(lease string) []string { return []string{lease, "own"} }))
	if err != nil {
		t.Fatal(err)
	}
	if !r.begin("own") {
		t.Fatal("the work has not begun")
	}
	leases := client.CoordinationV1().Leases("ns")
	get := func() {
		t.Helper()
		got, err := leases.Get(t.Context(), "of-1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if *got.Spec.HolderIdentity != holder {
			t.Errorf("the elector reads the holder %q, want %q", *got.Spec.HolderIdentity, holder)
		}
	}
	get() // nobody holds it
	holder = "somebody"
	if _, err := leases.Update(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "of-1"}}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := noted(); !slices.Equal(got, []string{"started own"}) {
		t.Errorf("%v was noted before the Lease was read", got)
	}
	get()
	get()
	if got := noted(); !slices.Equal(got, []string{"started own", "watching of-1"}) {
		t.Errorf("%v was noted, want that shard of-1 is seen, once", got)
	}
}
