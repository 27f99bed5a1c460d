// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// authority is an API server that knows tokens of the form user:extra.
type authority struct {
	mu      sync.Mutex
	err     error           // to every question
	revoked bool            // every token
	rights  map[string]bool // "user path"
	tokens  int             // questions whose token it is
	reviews []authorizationv1.SubjectAccessReviewSpec
}

func (a *authority) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authority) asked() (tokens, reviews int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tokens, len(a.reviews)
}

func (a *authority) token(action clienttesting.Action) (bool, runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens++
	review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	user, extra, known := strings.Cut(review.Spec.Token, ":")
	if known && !a.revoked {
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
			Username: user, UID: "uid", Groups: []string{"system:authenticated"}, Extra: map[string]authenticationv1.ExtraValue{"extra": {extra}},
		}}
	}
	return true, review, a.err
}

func (a *authority) access(action clienttesting.Action) (bool, runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	a.reviews = append(a.reviews, review.Spec)
	review.Status.Allowed = a.rights[review.Spec.User+" "+review.Spec.NonResourceAttributes.Path]
	return true, review, a.err
}

// reviewerOf asks the authority.
func reviewerOf(a *authority) *Reviewer {
	client := &fake.Clientset{}
	client.AddReactor("create", "tokenreviews", a.token)
	client.AddReactor("create", "subjectaccessreviews", a.access)
	return newReviewer(client.AuthenticationV1().TokenReviews(), client.AuthorizationV1().SubjectAccessReviews())
}

// guarded is a handler whose metrics and dashboard are protected.
func guarded(a *authority) http.Handler {
	return newHandler(Options{
		Gatherer: counted(), Dashboard: page(), Pprof: true, Protect: []Part{Metrics, Dashboard}, Reviewer: reviewerOf(a),
	})
}

// ask sends a request with an Authorization header, if there is one.
func ask(h http.Handler, path, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAuthorization(t *testing.T) {
	rights := map[string]bool{"prometheus /metrics": true, "viewer /": true, "viewer /events": true}
	for _, tc := range []struct {
		path, authorization string
		err                 error
		code                int
		has                 string
	}{
		{"/metrics", "Bearer prometheus:x", nil, 200, "shardctl_some"},
		{"/metrics", "bearer prometheus:x", nil, 200, "shardctl_some"},
		{"/metrics", "", nil, 401, "Unauthorized"},
		{"/metrics", "Bearer", nil, 401, "Unauthorized"},
		{"/metrics", "Bearer ", nil, 401, "Unauthorized"},
		{"/metrics", "Basic prometheus:x", nil, 401, "Unauthorized"},
		{"/metrics", "Bearer unknown", nil, 401, "Unauthorized"},
		{"/metrics", "Bearer viewer:x", nil, 403, "Forbidden: user=viewer, verb=get, path=/metrics"},
		{"/metrics", "Bearer prometheus:x", errors.New("connection refused"), 500, "did not say who you are"},
		{"/", "Bearer viewer:x", nil, 200, "the page"},
		{"/events", "Bearer viewer:x", nil, 200, "the stream"},
		{"/", "Bearer prometheus:x", nil, 403, "path=/"},
		{"/events", "", nil, 401, "Unauthorized"},
		{"/nothing", "", nil, 401, "Unauthorized"},
		{"/livez", "", nil, 200, "ok"},
		{"/readyz", "", errors.New("connection refused"), 200, "ok"},
		{"/livez/none", "Bearer unknown", nil, 404, ""},
		{"/debug/pprof/cmdline", "", nil, 200, ""}, // as the options say
	} {
		got := ask(guarded(&authority{rights: rights, err: tc.err}), tc.path, tc.authorization)
		if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.has) {
			t.Errorf("%s with %q: %d %q, want %d with %q", tc.path, tc.authorization, got.Code, got.Body, tc.code, tc.has)
		}
		if challenge := got.Header().Get("WWW-Authenticate"); (challenge != "") != (tc.code == 401) {
			t.Errorf("%s with %q: the challenge is %q", tc.path, tc.authorization, challenge)
		}
	}
}

func TestReviewIsOfTheVerb(t *testing.T) {
	for method, verb := range map[string]string{http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "post"} {
		a := &authority{rights: map[string]bool{"operator /it": true}}
		var refused string
		h := reviewerOf(a).Protect(http.NotFoundHandler(), func(w http.ResponseWriter, text string, status int) {
			refused = text
			w.WriteHeader(status)
		})
		for _, user := range []string{"operator", "viewer"} {
			r := httptest.NewRequest(method, "/it", nil)
			r.Header.Set("Authorization", "Bearer "+user+":x")
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got := a.reviews[len(a.reviews)-1].NonResourceAttributes; got.Verb != verb || got.Path != "/it" {
				t.Errorf("%s: asked for %v", method, got)
			}
		}
		if want := "Forbidden: user=viewer, verb=" + verb + ", path=/it: grant the verb " + verb + " on this path"; !strings.HasPrefix(refused, want) {
			t.Errorf("%s: refused with %q, want %q", method, refused, want)
		}
	}
}

func TestReviewIsOfAllThatIsKnownOfTheUser(t *testing.T) {
	a := &authority{}
	ask(guarded(a), "/metrics", "Bearer prometheus:scrape")
	if len(a.reviews) != 1 {
		t.Fatalf("%d reviews", len(a.reviews))
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		User: "prometheus", UID: "uid", Groups: []string{"system:authenticated"}, Extra: map[string]authorizationv1.ExtraValue{"extra": {"scrape"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"},
	}
	if got := a.reviews[0]; got.String() != want.String() {
		t.Errorf("the review is of\n%v\nwant\n%v", got.String(), want.String())
	}
}

// An answer is remembered, but not for long: what is revoked is over within a minute, what
// is granted is in force within seconds.
func TestAnswersAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{rights: map[string]bool{"prometheus /metrics": true}}
		h := guarded(a)
		expect := func(authorization string, code int) {
			t.Helper()
			if got := ask(h, "/metrics", authorization); got.Code != code {
				t.Errorf("%q: %d, want %d", authorization, got.Code, code)
			}
		}
		for range 30 {
			expect("Bearer prometheus:x", 200)
			expect("Bearer viewer:x", 403)
			expect("Bearer unknown", 401)
		}
		if tokens, reviews := a.asked(); tokens != 3 || reviews != 2 {
			t.Errorf("it was asked for %d tokens and %d rights, want 3 and 2", tokens, reviews)
		}
		a.set(func() { a.rights["viewer /metrics"] = true })
		time.Sleep(noTTL + time.Millisecond)
		expect("Bearer viewer:x", 200)
		a.set(func() { a.rights = nil })
		expect("Bearer viewer:x", 200)
		time.Sleep(yesTTL + time.Millisecond)
		expect("Bearer viewer:x", 403)
		a.set(func() { a.revoked = true })
		time.Sleep(yesTTL + time.Millisecond)
		expect("Bearer viewer:x", 401)
	})
}

// What went wrong is not remembered, and nobody is let in for it.
func TestFailuresAreNotRemembered(t *testing.T) {
	a := &authority{rights: map[string]bool{"prometheus /metrics": true}, err: errors.New("connection refused")}
	h := guarded(a)
	if got := ask(h, "/metrics", "Bearer prometheus:x"); got.Code != 500 {
		t.Errorf("%d, want 500", got.Code)
	}
	a.set(func() { a.err = nil })
	if got := ask(h, "/metrics", "Bearer prometheus:x"); got.Code != 200 {
		t.Errorf("%d, want 200", got.Code)
	}
}

// Whoever invents tokens does not make the replica flood the API server, and does not
// displace those who are known.
func TestStrangersAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{rights: map[string]bool{"prometheus /metrics": true}}
		h := guarded(a)
		ask(h, "/metrics", "Bearer prometheus:x")
		codes := map[int]int{}
		for i := range 3000 {
			codes[ask(h, "/metrics", fmt.Sprintf("Bearer invented%d", i)).Code]++
			time.Sleep(time.Millisecond)
		}
		if tokens, _ := a.asked(); tokens > maxReviews+4*reviewsPerSecond {
			t.Errorf("the API server was asked %d times in 3 s", tokens)
		}
		if codes[401] == 0 || codes[429] == 0 || codes[401]+codes[429] != 3000 {
			t.Errorf("the answers are %v, want 401 and 429", codes)
		}
		if got := ask(h, "/metrics", "Bearer prometheus:x"); got.Code != 200 {
			t.Errorf("who is known gets %d", got.Code)
		}
	})
}

func TestReviewHasATimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A server that never answers. The fake clientset knows no contexts, so a real client.
		v, err := NewReviewer(silent())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if got := ask(newHandler(Options{Gatherer: counted(), Protect: []Part{Metrics}, Reviewer: v}), "/metrics", "Bearer x"); got.Code != 500 {
			t.Errorf("%d, want 500", got.Code)
		}
		if took := time.Since(began); took != reviewTimeout {
			t.Errorf("it took %s, want %s", took, reviewTimeout)
		}
	})
}

// Whoever invents tokens does not keep out those that the API server has known all along.
func TestInventedTokensKeepNoScraperOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{rights: map[string]bool{"prometheus /metrics": true}}
		h := guarded(a)
		scrape := func(token string) int {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		if code := scrape("prometheus:x"); code != http.StatusOK {
			t.Fatalf("%d", code)
		}
		refused := 0
		for i := range 600 { // a scrape every 15 s, and 100 invented tokens a second, for a minute and more
			for j := range 25 {
				scrape(fmt.Sprintf("invented-%d-%d", i, j))
			}
			if i%60 == 59 && scrape("prometheus:x") != http.StatusOK {
				refused++
			}
			time.Sleep(250 * time.Millisecond)
		}
		if refused > 0 {
			t.Errorf("%d of 10 scrapes were refused", refused)
		}
	})
}
