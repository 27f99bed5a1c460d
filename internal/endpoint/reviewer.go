// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
)

const (
	// reviewTimeout is for both questions together. Prometheus waits 10 s for all.
	reviewTimeout = 5 * time.Second

	// For how long an answer is remembered: a token or a right that is revoked is good
	// for so long. A no is soon asked again, for it is often somebody who tries out what
	// he has just granted.
	yesTTL = time.Minute
	noTTL  = 10 * time.Second

	// maxRemembered bounds each kind of answer. Tokens that are no good have a place of
	// their own, so that whoever invents some displaces nothing.
	maxRemembered = 1024

	// What strangers can make this replica ask of the API server, per second and at once.
	reviewsPerSecond = 10
	maxReviews       = 20

	// knownTTL is for how long a token that was good is asked about at a pace of its own,
	// which whoever invents tokens does not use up.
	knownTTL = time.Hour
)

// Reviewer asks the API server who sends a request (TokenReview), and whether he may
// (SubjectAccessReview, of the path and the verb: see [Reviewer.Protect]).
type Reviewer struct {
	tokens  authenticationclient.TokenReviewInterface
	access  authorizationclient.SubjectAccessReviewInterface
	pace    flowcontrol.RateLimiter // for what nobody has vouched for
	vouched flowcontrol.RateLimiter // for tokens that were good, and what their users may do

	known *cache.LRUExpireCache // digest of a token that was good

	users     *cache.LRUExpireCache // digest of a token -> authenticationv1.UserInfo
	strangers *cache.LRUExpireCache // digest of a token that nobody has
	verdicts  *cache.LRUExpireCache // digest of a question -> bool
}

// NewReviewer makes one that asks as cfg says. That takes the permissions to create
// tokenreviews.authentication.k8s.io and subjectaccessreviews.authorization.k8s.io.
func NewReviewer(cfg *rest.Config) (*Reviewer, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // it has a pace of its own, which refuses rather than waits
	authn, err := authenticationclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client for token reviews: %w", err)
	}
	authz, err := authorizationclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client for access reviews: %w", err)
	}
	return newReviewer(authn.TokenReviews(), authz.SubjectAccessReviews()), nil
}

func newReviewer(tokens authenticationclient.TokenReviewInterface, access authorizationclient.SubjectAccessReviewInterface) *Reviewer {
	return &Reviewer{
		tokens: tokens, access: access,
		pace:    flowcontrol.NewTokenBucketRateLimiter(reviewsPerSecond, maxReviews),
		vouched: flowcontrol.NewTokenBucketRateLimiter(reviewsPerSecond, maxReviews),
		known:   cache.NewLRUExpireCache(maxRemembered),
		users:   cache.NewLRUExpireCache(maxRemembered), strangers: cache.NewLRUExpireCache(maxRemembered), verdicts: cache.NewLRUExpireCache(maxRemembered),
	}
}

// What is the matter with a request; anything else is one of the replica's or the API
// server's, and nobody is let in.
var (
	errStranger = errors.New("no bearer token, or one that the API server does not know")
	errBusy     = errors.New("too many reviews")
)

// forbiddenError is a request of somebody who is known, and may not.
type forbiddenError struct{ user, verb, path string }

func (e *forbiddenError) Error() string {
	return fmt.Sprintf("Forbidden: user=%s, verb=%s, path=%s: grant the verb %[2]s on this path (nonResourceURLs of a ClusterRole)", e.user, e.verb, e.path)
}

// Protect lets only those through who may do this to the path. The verb is get for GET and
// HEAD, else the method's name in small letters, as in kube-apiserver. The others are
// refused in words by refuse, such as [http.Error].
func (v *Reviewer) Protect(next http.Handler, refuse func(w http.ResponseWriter, text string, status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var forbidden *forbiddenError
		switch err := v.review(r.Context(), bearerToken(r), verbOf(r), r.URL.Path); {
		case err == nil:
			next.ServeHTTP(w, r)
		case errors.Is(err, errStranger):
			w.Header().Set("WWW-Authenticate", `Bearer realm="shardctl"`)
			refuse(w, "Unauthorized: send a bearer token of this cluster", http.StatusUnauthorized)
		case errors.As(err, &forbidden):
			refuse(w, forbidden.Error(), http.StatusForbidden)
		case errors.Is(err, errBusy):
			w.Header().Set("Retry-After", "1")
			refuse(w, "too many requests of whom the API server has to be asked: try again in a second", http.StatusTooManyRequests)
		default:
			if r.Context().Err() == nil { // whoever waits for the answer is still there
				klog.FromContext(r.Context()).Error(err, "Nobody can be let in", "path", r.URL.Path)
			}
			refuse(w, "the API server did not say who you are or what you may do: the log of this replica says why", http.StatusInternalServerError)
		}
	})
}

// verbOf is what a request does, in the words of RBAC.
func verbOf(r *http.Request) string {
	if r.Method == http.MethodHead {
		return "get"
	}
	return strings.ToLower(r.Method)
}

// bearerToken is that of the request; empty if there is none.
func bearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// review returns nil if whoever has the token may do this to the path.
func (v *Reviewer) review(ctx context.Context, token, verb, path string) error {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	user, err := v.authenticate(ctx, token)
	if err != nil {
		return err
	}
	allowed, err := v.authorize(ctx, user, verb, path)
	if err == nil && !allowed {
		err = &forbiddenError{user: user.Username, verb: verb, path: path}
	}
	return err
}

func (v *Reviewer) authenticate(ctx context.Context, token string) (user authenticationv1.UserInfo, err error) {
	if token == "" {
		return user, errStranger
	}
	digest := sha256.Sum256([]byte(token))
	if known, ok := v.users.Get(digest); ok {
		return known.(authenticationv1.UserInfo), nil
	}
	if _, ok := v.strangers.Get(digest); ok {
		return user, errStranger
	}
	pace := v.pace
	if _, was := v.known.Get(digest); was {
		pace = v.vouched
	}
	if !pace.TryAccept() {
		return user, errBusy
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := v.tokens.Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return user, fmt.Errorf("asking whose token it is: %w", err)
	case !answer.Status.Authenticated:
		v.known.Remove(digest)
		v.strangers.Add(digest, true, noTTL)
		return user, errStranger
	}
	v.users.Add(digest, answer.Status.User, yesTTL)
	v.known.Add(digest, true, knownTTL)
	return answer.Status.User, nil
}

func (v *Reviewer) authorize(ctx context.Context, user authenticationv1.UserInfo, verb, path string) (allowed bool, err error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
	}}
	if len(user.Extra) > 0 {
		review.Spec.Extra = map[string]authorizationv1.ExtraValue{}
		for key, values := range user.Extra {
			review.Spec.Extra[key] = authorizationv1.ExtraValue(values)
		}
	}
	question, err := json.Marshal(review.Spec)
	if err != nil {
		return false, fmt.Errorf("access review: %w", err)
	}
	digest := sha256.Sum256(question)
	if known, ok := v.verdicts.Get(digest); ok {
		return known.(bool), nil
	}
	if !v.vouched.TryAccept() {
		return false, errBusy
	}
	answer, err := v.access.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether %s may %s %s: %w", user.Username, verb, path, err)
	}
	ttl := noTTL
	if answer.Status.Allowed {
		ttl = yesTTL
	}
	v.verdicts.Add(digest, answer.Status.Allowed, ttl)
	return answer.Status.Allowed, nil
}
