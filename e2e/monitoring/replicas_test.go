// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	namespace = "monitored"
	group     = "monitored"
	// shards are those of the configuration, in all.
	shards = 9
	// broken is the name of the object that the hook fails for.
	broken = "broken"
)

// configuration has two types in four buckets each, and a schedule with a gate; its argument is the hook's
// address.
const configuration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: monitored}
spec:
  namespace: monitored
  http: {address: "127.0.0.1:0"}
  timings: {preset: fast}
  roles:
  - name: widgets
    buckets: 4
    decorator:
      resources: [{apiVersion: monitored.shardctl.dev/v1, resource: widgets}]
      hooks: {sync: {webhook: {url: %[1]q}}}
  - name: gadgets
    buckets: 4
    decorator:
      resources: [{apiVersion: monitored.shardctl.dev/v1, resource: gadgets}]
      hooks: {sync: {webhook: {url: %[1]q}}}
  - name: often
    schedule: {cron: "@every 1s", exec: {command: ["true"]}}
    readiness: {exec: {command: ["true"]}}
  leadership: {address: none}
`

// plurals are the types.
var plurals = []string{"widgets", "gadgets"}

func crd(plural string) *unstructured.Unstructured {
	kind := strings.ToUpper(plural[:1]) + strings.TrimSuffix(plural[1:], "s")
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": plural + ".monitored.shardctl.dev"},
		"spec": map[string]any{
			"group": "monitored.shardctl.dev",
			"scope": "Namespaced",
			"names": map[string]any{"kind": kind, "plural": plural},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
		},
	}}
}

// serveHook labels objects as seen, and fails for those that are broken.
func serveHook(t *testing.T) string {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Object metav1.PartialObjectMetadata `json:"object"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || request.Object.Name == broken {
			http.Error(w, "cannot be reconciled", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"labels": map[string]any{"seen": "round-" + request.Object.Annotations["round"]}, "attachments": []any{},
		})
	}))
	t.Cleanup(hook.Close)
	return hook.URL
}

// observed is a group whose replicas are scraped.
type observed struct {
	fleet      *fleet.Fleet
	prometheus *server
}

func observe(t *testing.T) *observed {
	t.Helper()
	cp := controlplane.Start(t, controlplane.Options{})
	binary, err := fleet.Build(t.Context(), fleet.BuildOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	o := &observed{prometheus: startPrometheus(t)}
	o.fleet = fleet.Start(t, fleet.Options{
		Cluster: cp, Binary: binary, Config: fmt.Appendf(nil, configuration, serveHook(t)), LayoutRecord: true,
		CRDs: []*unstructured.Unstructured{crd(plurals[0]), crd(plurals[1])},
	})
	edit(t, dynamic.NewForConfigOrDie(cp.Config()))
	return o
}

// edit creates objects, and changes one after the other until the test is over.
func edit(t *testing.T, client dynamic.Interface) {
	t.Helper()
	var objects []dynamic.ResourceInterface
	for _, plural := range plurals {
		objects = append(objects, client.Resource(schema.GroupVersionResource{Group: "monitored.shardctl.dev", Version: "v1", Resource: plural}).Namespace(namespace))
	}
	names := []string{broken}
	for i := range 20 {
		names = append(names, fmt.Sprint("object-", i))
	}
	for i, of := range objects {
		kind := crd(plurals[i]).Object["spec"].(map[string]any)["names"].(map[string]any)["kind"]
		for _, name := range names {
			object := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "monitored.shardctl.dev/v1", "kind": kind, "metadata": map[string]any{"name": name},
			}}
			if _, err := of.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for round := 0; ; round++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			change := fmt.Appendf(nil, `{"metadata":{"annotations":{"round":"%d"}}}`, round)
			_, err := objects[round%len(objects)].Patch(ctx, names[round%len(names)], "application/merge-patch+json", change, metav1.PatchOptions{})
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	}()
}

// launch starts a replica of a revision, and has the replicas that are running scraped.
func (o *observed) launch(t *testing.T, name string, revision int) {
	t.Helper()
	if _, err := o.fleet.Launch(t.Context(), name, fmt.Sprint("--revision=", revision)); err != nil {
		t.Fatal(err)
	}
	o.scrape(t)
}

// terminate ends a replica as a kubelet does.
func (o *observed) terminate(t *testing.T, name string) {
	t.Helper()
	exit, err := o.fleet.Replica(name).Terminate(t.Context())
	if err != nil || exit.Code != 0 {
		t.Fatalf("replica %s has ended with %+v: %v", name, exit, err)
	}
	o.scrape(t)
}

func (o *observed) scrape(t *testing.T) {
	t.Helper()
	var targets []target
	for _, r := range o.fleet.Replicas() {
		if !r.Running() {
			continue
		}
		address, err := r.HTTPAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, replicaTarget(r.Pod(), address))
	}
	o.prometheus.scrape(t, targets...)
}

// awaitSpread waits until the replicas that are running share the shards, and have been scraped.
func (o *observed) awaitSpread(t *testing.T) {
	t.Helper()
	if _, err := o.fleet.WaitFor(t.Context(), patience, "an even spread", fleet.Spread(shards, len(o.running()))); err != nil {
		t.Fatal(err)
	}
	o.awaitScraped(t)
}

// awaitScraped waits until every replica that is running was scraped several times, so that there are rates, and all shards
// are seen held.
func (o *observed) awaitScraped(t *testing.T) {
	t.Helper()
	running := o.running()
	scraped := fmt.Sprintf("count(count_over_time(up{pod=~%q}[5m]) >= 5)", strings.Join(running, "|"))
	eventually(t, "Prometheus has seen that", func(ctx context.Context) error {
		for query, want := range map[string]int{"sum(shardctl_shard_held)": shards, scraped: len(running)} {
			got, err := o.prometheus.number(ctx, query)
			if err != nil {
				return err
			}
			if int(got) != want {
				return fmt.Errorf("%s is %v, not %d", query, got, want)
			}
		}
		return nil
	})
}

// running are the names of the replicas that have not ended.
func (o *observed) running() (names []string) {
	for _, r := range o.fleet.Replicas() {
		if r.Running() {
			names = append(names, r.Name())
		}
	}
	return names
}

// roll replaces all replicas, one after the other, by those of a newer revision.
func (o *observed) roll(t *testing.T) {
	t.Helper()
	for _, step := range [][2]string{{"a", "x"}, {"b", "y"}, {"c", "z"}} {
		o.launch(t, step[1], 2)
		if _, err := o.fleet.WaitFor(t.Context(), patience, step[1]+" holds its share", fleet.All(fleet.Held(shards), fleet.Leads(step[1]))); err != nil {
			t.Fatal(err)
		}
		o.awaitScraped(t) // also the one that has given its shards away, before it ends
		o.terminate(t, step[0])
		if _, err := o.fleet.WaitFor(t.Context(), patience, step[0]+" is gone", fleet.All(fleet.Held(shards), fleet.Gone(step[0]))); err != nil {
			t.Fatal(err)
		}
		o.awaitScraped(t)
	}
}
