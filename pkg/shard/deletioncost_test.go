// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

// mark brings the deletion cost to what is wished until the end of the test.
func mark(ctx context.Context, t *testing.T, w *workload, wishes ...bool) {
	t.Helper()
	m := newCostMark(w)
	for _, yes := range wishes {
		m.wanted.say(yes)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- m.markLoop(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func costOf(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	pod, err := client.CoreV1().Pods("ns").Get(context.Background(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cost, has := pod.Annotations[corev1.PodDeletionCost]; has {
		return cost
	}
	return "none"
}

func patches(client *fake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if a.GetVerb() == "patch" {
			n++
		}
	}
	return n
}

func TestDeletionCost(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  string
		wishes  []bool
		want    string
		patches int
	}{
		{"an emptied Pod is marked", "none", []bool{true}, "-100", 1},
		{"and not again", "-100", []bool{true}, "-100", 0},
		{"one that holds something again is not any more", "-100", []bool{false}, "none", 1},
		{"one that never was stays as it is", "none", []bool{false}, "none", 0},
		{"what somebody else has set is not overwritten", "17", []bool{true}, "17", 0},
		{"nor taken away", "17", []bool{false}, "17", 0},
		{"the latest wish counts", "none", []bool{true, false, true}, "-100", 1},
		{"and those before it are not carried out", "none", []bool{true, false}, "none", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pod := podOf("", "", nil)
				if test.before != "none" {
					pod.Annotations = map[string]string{corev1.PodDeletionCost: test.before}
				}
				w, client := runAs(pod)
				mark(t.Context(), t, w, test.wishes...)
				synctest.Wait()
				if got := costOf(t, client); got != test.want {
					t.Errorf("the cost is %s, want %s", got, test.want)
				}
				if n := patches(client); n != test.patches {
					t.Errorf("%d patches were sent, want %d", n, test.patches)
				}
			})
		})
	}
}

func TestDeletionCostNamesThePodThatItIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pod := podOf("", "", nil)
		pod.ResourceVersion = "42"
		w, client := runAs(pod)
		mark(t.Context(), t, w, true)
		synctest.Wait()
		for _, a := range client.Actions() {
			if p, ok := a.(k8stesting.PatchAction); ok {
				for _, part := range []string{`"uid":"pod-uid"`, `"resourceVersion":"42"`} {
					if !strings.Contains(string(p.GetPatch()), part) {
						t.Errorf("the patch is %s, want %s in it", p.GetPatch(), part)
					}
				}
			}
		}
		if n := patches(client); n != 1 {
			t.Errorf("%d patches were sent, want 1", n)
		}
	})
}

func TestDeletionCostIsNotSetOnANamesake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		namesake := podOf("", "", nil)
		namesake.UID = "another"
		w, client := runAs(namesake)
		mark(t.Context(), t, w, true)
		time.Sleep(time.Hour)
		if n := patches(client); n != 0 {
			t.Errorf("%d patches were sent, want none", n)
		}
	})
}

func TestDeletionCostIsTriedAgainForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, client := runAs(podOf("", "", nil))
		began := time.Now()
		client.PrependReactor("patch", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			if time.Since(began) < 20*time.Second {
				return true, nil, apierrors.NewInternalError(context.DeadlineExceeded)
			}
			return false, nil, nil
		})
		mark(t.Context(), t, w, true)
		time.Sleep(time.Minute)
		if got := costOf(t, client); got != "-100" {
			t.Errorf("the cost is %s a while after the API server works again, want -100", got)
		}
		if n := patches(client); n > 10 {
			t.Errorf("%d patches were sent in a minute", n)
		}
	})
}

func TestDeletionCostIsNotTriedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, client := runAs(podOf("", "", nil))
		client.PrependReactor("patch", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewInternalError(context.DeadlineExceeded)
		})
		mark(t.Context(), t, w, true)
		time.Sleep(24 * time.Hour)
		if n, limit := patches(client), costBackoff.Steps+1; n != limit {
			t.Errorf("%d patches were sent in a day, want %d", n, limit)
		}
	})
}

func TestDeletionCostWithoutThePermissionIsToldOnce(t *testing.T) {
	for _, verb := range []string{"get", "patch"} {
		synctest.Test(t, func(t *testing.T) {
			w, client := runAs(podOf("", "", nil))
			refuse(client, verb, "pods")
			ctx, log := logged(t)
			mark(ctx, t, w, true)
			time.Sleep(24 * time.Hour)
			if n := strings.Count(log.String(), `permission="get and patch pods"`); n != 1 {
				t.Errorf("the log names the permission %d times, want once:\n%s", n, log.String())
			}
			if n := len(client.Actions()); n > 2 {
				t.Errorf("%d requests were sent, want 2 at most", n)
			}
		})
	}
}
