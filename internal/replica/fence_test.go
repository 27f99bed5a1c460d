// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/fence"
)

// introduced has the replica in Pod p of the group g in the namespace ns ask who it is, until ctx
// ends at the latest, and returns what it reports and logs.
func introduced(ctx context.Context, podUID string, who func() (authenticationv1.UserInfo, error)) (digest, log string) {
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		user, err := who()
		return true, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: user}}, err
	})
	var lines strings.Builder
	ctx = klog.NewContext(ctx, funcr.New(func(_, args string) { lines.WriteString(args + "\n") }, funcr.Options{}))
	i := &introduction{
		reviews: client.AuthenticationV1().SelfSubjectReviews(), pod: "p", podUID: podUID, options: widgetFence(""),
		report: func(d string) { digest = d },
	}
	i.run(ctx)
	return digest, lines.String()
}

func widgetFence(account string) fence.Options {
	return fence.Options{
		Group: "g", Namespace: "ns", ServiceAccount: account,
		Types: []fence.Type{{Resource: schema.GroupResource{Group: "example.com", Resource: "widgets"}}},
	}
}

func TestIntroduction(t *testing.T) {
	own, err := fence.New(widgetFence("operator"))
	if err != nil {
		t.Fatal(err)
	}
	const account = "system:serviceaccount:ns:operator"
	for _, tc := range []struct {
		name   string
		podUID string
		user   string
		pod    string // that the token is bound to
		bound  string // UID of that Pod
		digest string
		log    string // has this; empty: says nothing
	}{
		{"a token of its Pod", "some-uid", account, "p", "some-uid", own.Digest(), ""},
		{"a token that is not bound", "some-uid", account, "", "", own.Digest(), "its token is not bound to its Pod"},
		{"a token of another Pod", "some-uid", account, "p", "another-uid", own.Digest(), "its token is not bound to its Pod"},
		{"a Pod by another name", "some-uid", account, "p-in-full", "some-uid", own.Digest(), "set POD_NAME from metadata.name"},
		{"a token without the name of its Pod", "some-uid", account, "", "some-uid", own.Digest(), "set POD_NAME from metadata.name"},
		{"outside of any Pod", "", account, "", "", own.Digest(), ""},
		{"an account of another namespace", "some-uid", "system:serviceaccount:ns2:operator", "p", "some-uid", "", "does not judge what this replica writes"},
		{"a user", "", "admin", "", "", "", "does not judge what this replica writes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			digest, log := introduced(t.Context(), tc.podUID, func() (authenticationv1.UserInfo, error) {
				user := authenticationv1.UserInfo{Username: tc.user}
				user.Extra = map[string]authenticationv1.ExtraValue{}
				if tc.pod != "" {
					user.Extra[podNameKey] = []string{tc.pod}
				}
				if tc.bound != "" {
					user.Extra[podUIDKey] = []string{tc.bound}
				}
				return user, nil
			})
			if digest != tc.digest {
				t.Errorf("it reports %q, want %q", digest, tc.digest)
			}
			if !strings.Contains(log, tc.log) || tc.log == "" && log != "" {
				t.Errorf("it logs %q, want %q", log, tc.log)
			}
		})
	}
}

// Without a type there is nothing to fence, whoever the replica is. Once it has one, that
// matters.
func TestIntroductionOfAReplicaWithoutTypes(t *testing.T) {
	var reported, lines []string
	ctx := klog.NewContext(t.Context(), funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}))
	for _, user := range []string{"admin", "system:serviceaccount:ns:operator"} {
		client := fake.NewClientset()
		client.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: user}}}, nil
		})
		i := &introduction{
			reviews: client.AuthenticationV1().SelfSubjectReviews(), pod: "p", podUID: "some-uid", options: fence.Options{Group: "g", Namespace: "ns"},
			report: func(d string) { reported = append(reported, d) },
		}
		reported = nil
		i.run(ctx)
		if len(reported) == 0 || slices.ContainsFunc(reported, func(d string) bool { return d != fence.None }) || len(lines) > 0 {
			t.Errorf("as %s it reports %q and logs %q, want %q and nothing", user, reported, lines, fence.None)
		}
		reported = nil
		i.calls(ctx, widgetFence("").Types)
		if known := user != "admin"; known != (len(reported) == 1 && reported[0] != fence.None) {
			t.Errorf("as %s it reports %q once it has a type", user, reported)
		}
	}
}

func TestPodNameIsThatOfTheGroup(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{"p-1": "p-1", "": strings.ToLower(host)} {
		t.Setenv("POD_NAME", set)
		if got, err := podName(); got != want || err != nil {
			t.Errorf("with POD_NAME %q the Pod is %q, error %v; want %q", set, got, err, want)
		}
	}
}

func TestIntroductionIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, began := 0, time.Now()
		digest, log := introduced(t.Context(), "", func() (authenticationv1.UserInfo, error) {
			if asked++; time.Since(began) < time.Hour {
				return authenticationv1.UserInfo{}, errors.New("no route to host")
			}
			return authenticationv1.UserInfo{Username: "system:serviceaccount:ns:operator"}, nil
		})
		if digest == "" || asked < 30 || asked > 70 {
			t.Errorf("it reports %q after asking %d times in an hour, want a digest, and to ask about once a minute", digest, asked)
		}
		if strings.Count(log, "no route to host") != 1 {
			t.Errorf("it says not once that there is no answer:\n%s", log)
		}
	})
}

func TestIntroductionEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		digest, _ := introduced(ctx, "", func() (authenticationv1.UserInfo, error) {
			return authenticationv1.UserInfo{}, errors.New("no route to host")
		})
		if digest != "" || time.Since(began) != time.Minute {
			t.Errorf("it reports %q after %v, want nothing after 1m", digest, time.Since(began))
		}
	})
}
