// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/rbac"
)

const (
	// maxReviews bounds the questions that are under way at a time: a configuration may
	// need thousands of permissions.
	maxReviews = 8
	// reviewTimeout bounds one question.
	reviewTimeout = 5 * time.Second
	// grantPatience is how long to wait for a permission that is missing. A role that was
	// applied together with the Pod takes a moment to reach the API server's cache.
	grantPatience = 5 * time.Second
	grantPause    = 500 * time.Millisecond
	// reminderPause is how often it is said that there still is no answer.
	reminderPause = time.Minute
	// maxMissingShown bounds a message.
	maxMissingShown = 30
)

// reviewBackoff spaces the attempts while the API server gives no answer. They go on at
// the cap: nothing could be led meanwhile either.
var reviewBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 100, Cap: 5 * time.Second}

// preflight finds out, before a replica joins its group, whether it may do what it will
// have to. Without that, a permission that is missing would show only when the first
// object needs it, in some replica's log and for that object alone.
type preflight struct {
	reviews   authorizationclient.SelfSubjectAccessReviewInterface
	namespace string // of the group
	rules     []rbac.Rule
	// tolerant: what is missing is told, and the replica starts nevertheless.
	tolerant bool
}

func newPreflight(rc *rest.Config, cfg *config.Config, namespace string, tolerant bool) (*preflight, error) {
	client, err := authorizationclient.NewForConfig(rc)
	if err != nil {
		return nil, fmt.Errorf("client for access reviews: %w", err)
	}
	rules := rbac.Rules(cfg)
	if os.Getenv("POD_UID") == "" { // as shard.GroupOptions tell
		rules = slices.DeleteFunc(rules, func(r rbac.Rule) bool { return r.InPod })
	}
	return &preflight{reviews: client.SelfSubjectAccessReviews(), namespace: namespace, rules: rules, tolerant: tolerant}, nil
}

// permission is a verb of a rule.
type permission struct {
	*rbac.Rule
	verb string
}

// check returns an error that names every required permission that is missing. Those
// that are optional it logs. It waits for an API server that gives no answer for as long
// as ctx lives; when that ends it returns its cause.
func (p *preflight) check(ctx context.Context) error {
	missing, err := p.ask(ctx, p.permissions())
	if err == nil && !p.tolerant {
		missing, err = p.askAgain(ctx, missing)
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		klog.FromContext(ctx).Info("Starting without knowing which permissions are missing", "err", err)
		return nil
	}
	return p.judge(ctx, missing)
}

func (p *preflight) permissions() []permission {
	var all []permission
	for i := range p.rules {
		for _, verb := range p.rules[i].Verbs {
			all = append(all, permission{&p.rules[i], verb})
		}
	}
	return all
}

func requiresAny(all []permission) bool {
	return slices.ContainsFunc(all, func(one permission) bool { return !one.Optional() })
}

// askAgain gives what is required and missing a moment to be granted.
func (p *preflight) askAgain(ctx context.Context, missing []permission) (still []permission, err error) {
	for end := time.Now().Add(grantPatience); requiresAny(missing) && time.Now().Before(end); {
		if !sleep(ctx, grantPause) {
			return nil, context.Cause(ctx)
		}
		if missing, err = p.ask(ctx, missing); err != nil {
			return nil, err
		}
	}
	return missing, nil
}

// ask returns those of the permissions that the API server says are not there. It is an
// error if it does not answer such questions at all, or ctx has ended.
func (p *preflight) ask(ctx context.Context, all []permission) (missing []permission, err error) {
	allowed := make([]bool, len(all))
	asked := make([]bool, len(all))
	pause := reviewBackoff
	for told := (time.Time{}); ; {
		err := p.askOnce(ctx, all, asked, allowed)
		if err == nil {
			break
		}
		if ctx.Err() != nil || !unanswered(err) {
			return nil, err
		}
		if told.IsZero() || time.Since(told) >= reminderPause {
			told = time.Now()
			klog.FromContext(ctx).Info("Waiting for the API server to say what this replica may do", "err", err)
		}
		if !sleep(ctx, pause.Step()) {
			return nil, context.Cause(ctx)
		}
	}
	for i, ok := range allowed {
		if !ok {
			missing = append(missing, all[i])
		}
	}
	return missing, nil
}

// askOnce asks what was not answered yet, until there is an error.
func (p *preflight) askOnce(ctx context.Context, all []permission, asked, allowed []bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxReviews)
	for i := range all {
		if asked[i] || ctx.Err() != nil {
			continue
		}
		g.Go(func() (err error) {
			allowed[i], err = p.review(ctx, all[i])
			asked[i] = err == nil
			return err
		})
	}
	return g.Wait()
}

func (p *preflight) review(ctx context.Context, one permission) (allowed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	attributes := &authorizationv1.ResourceAttributes{
		Verb: one.verb, Group: one.Resource.Group, Resource: one.Resource.Resource, Subresource: one.Subresource,
		Version: "*", // RBAC has none
	}
	if one.InGroup {
		attributes.Namespace = p.namespace
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes}}
	answer, err := p.reviews.Create(ctx, review, metav1.CreateOptions{})
	// What the replica can do without is not waited for.
	if err == nil && !answer.Status.Allowed && answer.Status.EvaluationError != "" && !one.Optional() && !p.tolerant {
		err = fmt.Errorf("an authorizer of the API server failed: %s", answer.Status.EvaluationError)
	}
	if err != nil {
		return false, fmt.Errorf("asking whether this replica may %s: %w", one.Describe([]string{one.verb}, p.namespace), err)
	}
	return answer.Status.Allowed, nil
}

// unanswered tells an error that says nothing about the question: there was no answer,
// or one that asks to come again, or the token is not known yet, or an authorizer (a webhook
// that is down) could not say yes or no.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	return status.Status().Code >= 500 || apierrors.IsTooManyRequests(err) || apierrors.IsUnauthorized(err)
}

// judge logs what is missing and optional, and returns an error for the rest. The verbs of
// a rule are told together.
func (p *preflight) judge(ctx context.Context, missing []permission) error {
	log := klog.FromContext(ctx)
	var required []string
	for len(missing) > 0 {
		rule := missing[0].Rule
		var verbs []string
		for len(missing) > 0 && missing[0].Rule == rule {
			verbs, missing = append(verbs, missing[0].verb), missing[1:]
		}
		what := rule.Describe(verbs, p.namespace)
		switch {
		case rule.Optional():
			log.Info("An optional permission is missing", "missing", what, "to", rule.For, "without", rule.Without)
		case p.tolerant:
			log.Info("A permission is missing, or was granted for some namespaces or names only", "missing", what, "to", rule.For)
		default:
			required = append(required, fmt.Sprintf("- %s: to %s", what, rule.For))
		}
	}
	if len(required) == 0 {
		return nil
	}
	if more := len(required) - maxMissingShown; more > 0 {
		required = append(required[:maxMissingShown], fmt.Sprintf("- and %d more", more))
	}
	// The list first: what is shown in one line is cut off at its end.
	return fmt.Errorf("permissions are missing:\n%s\nApply what `shardctl rbac FILE` prints, for the service account of this replica; "+
		"or, if they were granted for some namespaces or names only, use --tolerate-missing-permissions", strings.Join(required, "\n"))
}

// sleep returns true after d, or false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
