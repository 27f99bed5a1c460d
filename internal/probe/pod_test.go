// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	podName = "app-0"
	podUID  = "uid-0"
)

func podWith(conditions ...corev1.PodCondition) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: podName, UID: podUID},
		Status:     corev1.PodStatus{Conditions: conditions},
	}
}

func ready(is corev1.ConditionStatus, reason, message string) corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.PodReady, Status: is, Reason: reason, Message: message}
}

func TestReadiness(t *testing.T) {
	another := podWith(ready(corev1.ConditionTrue, "", ""))
	another.UID = "uid-1"
	for _, tc := range []struct {
		name string
		pod  *corev1.Pod
		want string
	}{
		{"ready", podWith(ready(corev1.ConditionTrue, "", "")), ""},
		{"among others", podWith(corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}, ready(corev1.ConditionTrue, "", "")), ""},
		{"not yet told", podWith(), "is not ready"},
		{"unknown", podWith(ready(corev1.ConditionUnknown, "NodeLost", "")), "is not ready: NodeLost"},
		{
			"not ready", podWith(ready(corev1.ConditionFalse, "ContainersNotReady", "containers with unready status: [app]")),
			"is not ready: ContainersNotReady: containers with unready status: [app]",
		},
		{"another of that name", another, "is not this replica's, but another of that name: check POD_NAME and POD_UID"},
	} {
		t.Run(tc.name, func(t *testing.T) { want(t, readiness(tc.pod, podUID), tc.want) })
	}
}

// fakePods says of the fake API server that it cannot stream lists.
type fakePods struct {
	Pods
	api *fake.Clientset
}

func (f fakePods) IsWatchListSemanticsUnSupported() bool {
	return f.api.IsWatchListSemanticsUnSupported()
}

// follow runs an OwnPod against an API server with those Pods, until the end of the test.
func follow(t *testing.T, objects ...runtime.Object) (*OwnPod, *fake.Clientset) {
	t.Helper()
	api := fake.NewClientset(objects...)
	p := NewOwnPod(fakePods{api.CoreV1().Pods("ns"), api}, podName, podUID)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p, api
}

// asked is what is answered to one who has asked before.
func asked(t *testing.T, p *OwnPod) error {
	t.Helper()
	_ = p.Ready(t.Context())
	time.Sleep(2 * time.Minute) // longer than any pause between two attempts
	return p.Ready(t.Context())
}

func TestOwnPodFollowsTheCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := follow(t, podWith(ready(corev1.ConditionTrue, "", "")))
		want(t, p.Ready(t.Context()), "pod app-0: nothing is known of it yet")
		want(t, asked(t, p), "")
		pods := api.CoreV1().Pods("ns")
		if _, err := pods.UpdateStatus(t.Context(), podWith(ready(corev1.ConditionFalse, "ContainersNotReady", "")), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, asked(t, p), "pod app-0: is not ready: ContainersNotReady")
		if _, err := pods.UpdateStatus(t.Context(), podWith(ready(corev1.ConditionTrue, "", "")), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, asked(t, p), "")
		if err := pods.Delete(t.Context(), podName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		want(t, asked(t, p), "pod app-0: there is none of that name")
	})
}

// What it costs is promised in the documentation: nothing before somebody asks, then a list and
// a watch of one object, and no request for another that asks.
func TestOwnPodAsksForOneObjectAndOnlyIfAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := follow(t, podWith(ready(corev1.ConditionTrue, "", "")))
		time.Sleep(time.Hour)
		if n := len(api.Actions()); n != 0 {
			t.Errorf("%d requests before somebody asked, want none", n)
		}
		for range 100 {
			want(t, asked(t, p), "")
		}
		var verbs []string
		for _, a := range api.Actions() {
			verbs = append(verbs, a.GetVerb())
			var fields string
			switch a := a.(type) {
			case clienttesting.ListAction:
				fields = a.GetListRestrictions().Fields.String()
			case clienttesting.WatchAction:
				fields = a.GetWatchRestrictions().Fields.String()
			}
			if fields != "metadata.name="+podName {
				t.Errorf("%s of what has %q, want the own Pod only", a.GetVerb(), fields)
			}
		}
		if len(verbs) != 2 {
			t.Errorf("requests %v, want a list and a watch", verbs)
		}
	})
}

func TestOwnPodSaysWhyItKnowsNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{
			"forbidden", apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New("no role")),
			"pod app-0: this replica may not read it: grant its service account list and watch on pods in its namespace (list)",
		},
		{"unreachable", errors.New("connection refused"), "pod app-0: list: connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, api := follow(t, podWith(ready(corev1.ConditionTrue, "", "")))
				var refuse atomic.Bool
				refuse.Store(true)
				api.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return refuse.Load(), nil, tc.err })
				want(t, asked(t, p), tc.want)
				refuse.Store(false) // and it goes on by itself
				want(t, asked(t, p), "")
			})
		})
	}
}

func TestOwnPodStandsWhileTheAPIServerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, api := follow(t, podWith(ready(corev1.ConditionTrue, "", "")))
		open := watch.NewFake()
		var away atomic.Bool
		api.PrependWatchReactor("pods", func(clienttesting.Action) (bool, watch.Interface, error) {
			if away.Load() {
				return true, nil, errors.New("connection refused")
			}
			return true, open, nil
		})
		want(t, asked(t, p), "")
		away.Store(true)
		open.Stop()
		want(t, asked(t, p), "")
	})
}

func TestOwnPodEndsIfNobodyHasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := follow(t)
		_ = p // the cleanup waits for its end
		synctest.Wait()
	})
}
