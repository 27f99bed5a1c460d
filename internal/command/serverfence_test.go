// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// fenceOf is what a group of the API's namespace calls for.
func fenceOf(t *testing.T, group string) *fence.Fence {
	t.Helper()
	f, err := fence.New(fence.Options{
		Group: group, Namespace: "ns", ServiceAccount: group,
		Types: []fence.Type{{Resource: schema.GroupResource{Resource: "a"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// install creates what fences consist of.
func (a *api) install(t *testing.T, fences ...*fence.Fence) {
	t.Helper()
	client := a.AdmissionregistrationV1()
	for _, f := range fences {
		for _, p := range f.Policies {
			if _, err := client.ValidatingAdmissionPolicies().Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range f.Bindings {
			if _, err := client.ValidatingAdmissionPolicyBindings().Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fenced is a member whose configuration calls for a fence.
func fenced(pod string, f *fence.Fence) *coordinationv1.Lease {
	return member(pod, lease.AnnotationFence, f.Digest())
}

// fenceState is what a command says that looks once.
func (a *api) fenceState(t *testing.T) string {
	t.Helper()
	return a.group.installed(t.Context()).Judge(a.now(t).Status).String()
}

func TestStatusFindsTheFenceOfItsGroup(t *testing.T) {
	own, another := fenceOf(t, "g"), fenceOf(t, "another")
	api := serve(fenced("x", own))
	api.install(t, another, fence.General())
	if got, want := api.fenceState(t), "missing: "; !strings.HasPrefix(got, want) {
		t.Errorf("with the fence of another group it says %q, want %s...", got, want)
	}
	api.install(t, own)
	if got := api.fenceState(t); got != "matching" {
		t.Errorf("then it says %q, want matching", got)
	}
}

func TestStatusWithoutAnAnswerAboutTheFence(t *testing.T) {
	for _, tc := range []struct {
		resource string
		err      error
		want     string
	}{
		{"validatingadmissionpolicies", apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("not you")), "unknown: " + unreadableFence},
		{"validatingadmissionpolicybindings", apierrors.NewForbidden(schema.GroupResource{}, "", errors.New("not you")), "unknown: " + unreadableFence},
		{
			"validatingadmissionpolicies", errors.New("no route to host"),
			"unknown: reading the fence in the API server: listing the admission policies: no route to host",
		},
		{
			"validatingadmissionpolicybindings", errors.New("no route to host"),
			"unknown: reading the fence in the API server: listing the bindings of admission policies: no route to host",
		},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			api := serve(member("x"), shardOf("a", "x"))
			api.PrependReactor("list", tc.resource, func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			if got := api.fenceState(t); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestWatchTellsWhatBecomesOfTheFence(t *testing.T) {
	own := fenceOf(t, "g")
	api := serve(fenced("x", own))
	api.install(t, own)
	var unreachable atomic.Bool
	api.PrependReactor("list", "validatingadmissionpolicies", func(clienttesting.Action) (bool, runtime.Object, error) {
		return unreachable.Load(), nil, errors.New("no route to host")
	})
	api.watching(t, "", func(out, _ *output) {
		expect := func(when, want string) {
			t.Helper()
			if got := out.take(); !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s it says %q, want %q", when, got, want)
			}
		}
		expect("at first", "server fence: incomplete: there is no policy guard.fence.shardctl.dev,")
		api.install(t, fence.General())
		expect("before it looks again", "")
		time.Sleep(fenceInterval)
		expect("when all is installed", "server fence: matching\n")
		api.put(t, member("y", lease.AnnotationFence, "another"))
		api.settle()
		expect("when a member comes", "server fence: differs: the members do not agree: what is installed is not what the configuration of y calls for. ")
		unreachable.Store(true)
		time.Sleep(2 * fenceInterval)
		expect("when there is no answer", "")
	})
}
