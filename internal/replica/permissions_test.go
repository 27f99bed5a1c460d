// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/rbac"
)

// errAuthorizer is an answer that is no error: one that an authorizer failed.
var errAuthorizer = errors.New("webhook is down")

// authorizer answers access reviews: allowed is what it answers to "verb resource/subresource".
type authorizer struct {
	allowed func(what string) (bool, error)

	mu    sync.Mutex
	asked map[string]int // "namespace: verb resource/subresource"
}

func (a *authorizer) answer(action clienttesting.Action) (bool, runtime.Object, error) {
	review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
	attributes := review.Spec.ResourceAttributes
	what := attributes.Verb + " " + attributes.Resource
	if attributes.Subresource != "" {
		what += "/" + attributes.Subresource
	}
	a.mu.Lock()
	a.asked[attributes.Namespace+": "+what]++
	a.mu.Unlock()
	allowed, err := a.allowed(what)
	review.Status.Allowed = allowed
	if errors.Is(err, errAuthorizer) {
		review.Status.EvaluationError, err = err.Error(), nil
	}
	return true, review, err
}

// flight is the check of three rules, and what came of it.
type flight struct {
	preflight
	authorizer
	log strings.Builder
}

func newFlight(allowed func(what string) (bool, error)) *flight {
	f := &flight{authorizer: authorizer{allowed: allowed, asked: map[string]int{}}}
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", f.answer)
	widgets := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	f.preflight = preflight{reviews: client.AuthorizationV1().SelfSubjectAccessReviews(), namespace: "ns", rules: []rbac.Rule{
		{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}, Verbs: []string{"get", "update"}, InGroup: true, For: "lead"},
		{Resource: schema.GroupResource{Resource: "pods"}, Verbs: []string{"list", "watch"}, InGroup: true, For: "know", Without: "it waits"},
		{Resource: widgets, Subresource: "status", Verbs: []string{"update"}, For: "tell"},
	}}
	return f
}

func (f *flight) check(ctx context.Context) error {
	log := funcr.New(func(_, args string) { f.log.WriteString(args + "\n") }, funcr.Options{})
	return f.preflight.check(klog.NewContext(ctx, log))
}

// allAllowed but what is named.
func allAllowed(but ...string) func(string) (bool, error) {
	return func(what string) (bool, error) { return !slices.Contains(but, what), nil }
}

func TestPreflightAsksForEachVerbOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(allAllowed())
		if err := f.check(t.Context()); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"ns: get leases", "ns: update leases", "ns: list pods", "ns: watch pods", ": update widgets/status"} {
			if f.asked[want] != 1 {
				t.Errorf("%q was asked %d times, want once", want, f.asked[want])
			}
			delete(f.asked, want)
		}
		if len(f.asked) > 0 || f.log.Len() > 0 {
			t.Errorf("it asked for %v too, and logged %q", f.asked, &f.log)
		}
	})
}

func TestPreflightNamesAllThatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := newFlight(allAllowed("get leases", "update leases", "update widgets/status")).check(t.Context())
		want := "permissions are missing:\n" +
			"- get, update leases.coordination.k8s.io in namespace ns: to lead\n" +
			"- update widgets.example.com/status in all namespaces: to tell\n" +
			"Apply what `shardctl rbac FILE` prints, for the service account of this replica; " +
			"or, if they were granted for some namespaces or names only, use --tolerate-missing-permissions"
		if err == nil || err.Error() != want {
			t.Errorf("the error is\n%v\nwant\n%s", err, want)
		}
		if took := time.Since(began); took != grantPatience {
			t.Errorf("it waited %s for the permissions, want %s", took, grantPatience)
		}
	})
}

func TestPreflightLogsWhatIsOptionalAndMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFlight(allAllowed("list pods", "watch pods")), time.Now()
		if err := f.check(t.Context()); err != nil {
			t.Error(err)
		}
		want := `"level"=0 "msg"="An optional permission is missing" "missing"="list, watch pods in namespace ns" "to"="know" "without"="it waits"` + "\n"
		if f.log.String() != want {
			t.Errorf("the log is %q, want %q", &f.log, want)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited %s for what it can do without", took)
		}
	})
}

func TestPreflightTakesAPermissionThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		granted := time.Now().Add(grantPatience / 2)
		f := newFlight(func(what string) (bool, error) { return what != "get leases" || time.Now().After(granted), nil })
		if err := f.check(t.Context()); err != nil {
			t.Error(err)
		}
		if n := f.asked["ns: update leases"]; n != 1 {
			t.Errorf("what was granted was asked for %d times, want once", n)
		}
	})
}

func TestPreflightThatIsTolerantOnlyLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFlight(allAllowed("get leases")), time.Now()
		f.tolerant = true
		if err := f.check(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s, want nil at once", err, time.Since(began))
		}
		if !strings.Contains(f.log.String(), `"missing"="get leases.coordination.k8s.io in namespace ns"`) {
			t.Errorf("the log does not name what is missing: %q", &f.log)
		}
	})
}

// However long the API server gives no answer, the question stays open.
func TestPreflightWaitsForTheAPIServer(t *testing.T) {
	for name, failure := range map[string]error{
		"no connection":   errors.New("connection refused"),
		"too busy":        apierrors.NewTooManyRequests("later", 1),
		"not up yet":      apierrors.NewServiceUnavailable("later"),
		"an unknown user": apierrors.NewUnauthorized("who is that"),
		"internal error":  apierrors.NewInternalError(errors.New("etcd")),
		"no authorizer":   errAuthorizer,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := time.Now().Add(time.Hour)
				f := newFlight(func(string) (bool, error) {
					if time.Now().Before(up) {
						return false, failure
					}
					return true, nil
				})
				if err := f.check(t.Context()); err != nil {
					t.Error(err)
				}
				if late := time.Since(up); late < 0 || late > 2*reviewBackoff.Cap {
					t.Errorf("it was done %s after the API server was up", late)
				}
				if n := strings.Count(f.log.String(), "Waiting for the API server"); n < 50 || n > 60 {
					t.Errorf("it said %d times in an hour that it waits, want about once a minute", n)
				}
			})
		})
	}
}

// What is allowed is allowed, whichever of the API server's authorizers failed.
func TestPreflightTakesAYesBesideAFailedAuthorizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFlight(func(string) (bool, error) { return true, errAuthorizer }), time.Now()
		if err := f.check(t.Context()); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s, want nil at once", err, time.Since(began))
		}
	})
}

func TestPreflightEndsWithItsContext(t *testing.T) {
	for name, allowed := range map[string]func(string) (bool, error){
		"without an answer":    func(string) (bool, error) { return false, errors.New("connection refused") },
		"while one is missing": allAllowed("get leases"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				began := time.Now()
				if err := newFlight(allowed).check(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
					t.Errorf("%v after %s, want the cause when the context has ended", err, time.Since(began))
				}
			})
		})
	}
}

// Whoever may not even ask is not held up: it shows soon enough what is missing.
func TestPreflightThatMayNotAskLetsTheReplicaStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlight(func(string) (bool, error) {
			return false, apierrors.NewForbidden(schema.GroupResource{Resource: "selfsubjectaccessreviews"}, "", errors.New("no"))
		})
		if err := f.check(t.Context()); err != nil || !strings.Contains(f.log.String(), "Starting without knowing which permissions are missing") {
			t.Errorf("error %v, log %q", err, &f.log)
		}
	})
}
