// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// writer writes with a token of the replicas' service account.
type writer struct {
	client dynamic.Interface
}

// tokenOf asks for a token that is bound to a Pod, as the one is that the kubelet mounts; of no Pod for one that is not bound.
func (s *suite) tokenOf(t *testing.T, pod *corev1.Pod) writer {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	answer, err := s.kube.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(s.Config())
	config.BearerToken = answer.Status.Token
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return writer{client}
}

// try writes an object as a replica does, as a dry run.
func (w writer) try(ctx context.Context, o objectType, name string) error {
	objects := w.client.Resource(o.GroupVersionResource).Namespace(objectsNamespace)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		object, err := objects.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		annotations := object.GetAnnotations()
		annotations["tried"] = "true"
		object.SetAnnotations(annotations)
		_, err = objects.Update(ctx, object, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// isRefusal tells the fence's refusals from all others.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "shardctl fence")
}

// testServerFence tries a write of one object of each type with the token of each replica. The API server lets that of the holder
// pass, and no other; what the replicas themselves write all the time passes.
func (s *suite) testServerFence(t *testing.T) {
	now := s.awaitShared(t, replicas)
	pods := s.podNames(t)
	moved := s.during(t, func() {
		for _, o := range s.types {
			holder := s.holderOf(t, now, o, still)
			for _, pod := range pods {
				err := s.tokenOf(t, s.pod(t, pod)).try(t.Context(), o, still)
				switch {
				case pod == holder && err != nil:
					t.Errorf("%s holds the shard of %s %s, and its write got %v", pod, o.kind, still, err)
				case pod != holder && !isRefusal(err):
					t.Errorf("%s does not hold the shard of %s %s, and its write got %v, not the fence's refusal", pod, o.kind, still, orOK(err))
				}
			}
		}
		s.expectWork(t)
	})
	if len(moved) > 0 {
		t.Errorf("shards have moved, so nothing is proved: %v", moved)
	}
	for _, pod := range pods {
		if n := s.counter(t, pod, "shardctl_fence_rejections_total", map[string]string{"reason": "server"}); n > 0 {
			t.Errorf("%s was refused %v writes of its own", pod, n)
		}
	}
}

// holderOf is the Pod that holds the shard of an object.
func (s *suite) holderOf(t *testing.T, now status.Status, o objectType, name string) string {
	t.Helper()
	object, err := s.dynamic.Resource(o.GroupVersionResource).Namespace(objectsNamespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, shard := range now.Shards {
		family, bucket := lease.ParseShardName(shard.Name)
		if family == o.GroupResource().String() && bucket.Contains(lease.ByUID.Position(object.GetUID(), objectsNamespace, name)) {
			return status.PodOf(shard.Holder)
		}
	}
	t.Fatalf("no shard has %s %s: %v", o.kind, name, now.Shards)
	return ""
}
