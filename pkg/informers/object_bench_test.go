// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// deploymentJSON is one of many Deployments, about 4 KB of JSON with managedFields,
// as the API server sends it.
func deploymentJSON(i int) []byte {
	random := rand.New(rand.NewPCG(1, uint64(i)))
	hex := func() string { return fmt.Sprintf("%016x", random.Uint64()) }
	var containers []any
	for c := range 2 {
		var env []any
		for e := range 10 {
			env = append(env, map[string]any{"name": fmt.Sprintf("VARIABLE_%d", e), "value": hex()})
		}
		containers = append(containers, map[string]any{
			"name": fmt.Sprintf("container-%d", c), "image": "images.example.com/team/app@sha256:" + hex() + hex(), "env": env,
			"ports":                  []any{map[string]any{"name": "http", "containerPort": 8080, "protocol": "TCP"}},
			"resources":              map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "128Mi"}, "limits": map[string]any{"memory": "512Mi"}},
			"readinessProbe":         map[string]any{"httpGet": map[string]any{"path": "/ready", "port": "http", "scheme": "HTTP"}, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3},
			"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent",
		})
	}
	name := fmt.Sprintf("app-%d", i)
	labels := map[string]any{"app.kubernetes.io/name": name, "team": fmt.Sprintf("team-%d", i%20)}
	fields := `{"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:team":{}}},"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{"f:containers":{}}}}}`
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"labels": labels},
		"spec": map[string]any{
			"replicas": 3, "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": containers, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}},
		},
		"status": map[string]any{"observedGeneration": 2, "replicas": 3, "conditions": []any{map[string]any{"type": "Available", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}}},
	}}
	u.SetName(name)
	u.SetNamespace(fmt.Sprintf("team-%d", i%20))
	u.SetResourceVersion(fmt.Sprint(100_000 + i))
	u.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "kubectl-client-side-apply", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "apps/v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)},
	})
	data, err := json.Marshal(u.Object)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return data
}

var deployments = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// BenchmarkTransform is what an event of a watch costs until it is in the cache, and what
// a reconcile pays for the whole object; beside it, what the dynamic client does.
func BenchmarkTransform(b *testing.B) {
	const objects = 500
	p := newPacker(deployments, nil)
	var texts [][]byte
	var kept []*Object
	for i := range objects {
		texts = append(texts, deploymentJSON(i))
		kept = append(kept, received(b, p, texts[i]))
	}
	each := func(name string, do func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(texts[0])))
			for i := 0; b.Loop(); i++ {
				do(i % objects)
			}
		})
	}
	each("receive", func(i int) { received(b, p, texts[i]) })
	each("decode", func(i int) {
		if _, err := kept[i].Decode(); err != nil {
			b.Fatal(err)
		}
	})
	each("annotations", func(i int) { kept[i].GetAnnotations() })
	each("json", func(i int) {
		if _, err := kept[i].MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	})
	each("dynamic/receive", func(i int) {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(texts[i]); err != nil {
			b.Fatal(err)
		}
		unstructured.RemoveNestedField(u.Object, "metadata", "managedFields")
	})
}

// received is what the cache makes of what the API server sends.
func received(b *testing.B, p *packer, data []byte) *Object {
	b.Helper()
	o := &Object{}
	if err := o.UnmarshalJSON(data); err != nil {
		b.Fatal(err)
	}
	if _, err := p.pack(o); err != nil {
		b.Fatal(err)
	}
	return o
}
