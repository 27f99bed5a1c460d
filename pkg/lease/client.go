// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

// Client sends the group's requests. It has connections of its own and no rate
// limiter, so that nothing else a replica does can cost it its session; and it
// sends each request once: when to send another is for the [Election] to say.
type Client struct {
	leases coordinationclient.LeaseInterface
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 5 * time.Second

// NewClient makes a client for the Leases of a namespace.
func NewClient(cfg *rest.Config, namespace string) (*Client, error) {
	own := rest.CopyConfig(cfg)
	own.QPS = -1
	own.RateLimiter = nil
	own.Timeout = 0 // every request has a deadline of its own: see [Timings.RequestTimeout]
	own.ContentType = runtime.ContentTypeProtobuf
	own.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if own.Dial == nil {
		own.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext
	}
	// client-go shares the connections of equal configurations, but never those
	// of one that says how to dial.
	c, err := coordinationclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for Leases: %w", err)
	}
	return NewClientFor(coordinationclient.New(once{c.RESTClient()}).Leases(namespace)), nil
}

// NewClientFor wraps a typed client, such as one with its faults in a test.
func NewClientFor(leases coordinationclient.LeaseInterface) *Client { return &Client{leases: leases} }

// once makes requests that are sent once. By itself client-go waits for as long
// as a Retry-After says, and tries again, up to ten times: an answer that would
// have let the machine do better would be kept from it, until the request's
// time-out makes it look like a dead connection.
type once struct{ rest.Interface }

func (c once) Get() *rest.Request    { return c.Interface.Get().MaxRetries(0) }
func (c once) Post() *rest.Request   { return c.Interface.Post().MaxRetries(0) }
func (c once) Put() *rest.Request    { return c.Interface.Put().MaxRetries(0) }
func (c once) Delete() *rest.Request { return c.Interface.Delete().MaxRetries(0) }

// do carries out a request.
func (c *Client) do(ctx context.Context, op Op) (*coordinationv1.Lease, error) {
	switch op.Verb {
	case Get:
		return c.leases.Get(ctx, op.Name, metav1.GetOptions{})
	case Create:
		return c.leases.Create(ctx, stamped(op), metav1.CreateOptions{})
	case Update:
		return c.leases.Update(ctx, stamped(op), metav1.UpdateOptions{})
	case Delete:
		uid, rv := op.Lease.UID, op.Lease.ResourceVersion
		return nil, c.leases.Delete(ctx, op.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &rv},
		})
	}
	return nil, fmt.Errorf("unknown verb %q", op.Verb)
}

// stamped is the Lease with the wall-clock times that people expect in it.
func stamped(op Op) *coordinationv1.Lease {
	l := op.Lease.DeepCopy()
	op.Stamp.Set(l, time.Now())
	return l
}

// outcome is what an error means to the protocol. Only what the API server
// certainly did not carry out is anything but Unknown.
func outcome(op Op, err error) Outcome {
	status := apierrors.APIStatus(nil)
	switch {
	case err == nil:
		return OK
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return Conflict
	case apierrors.IsNotFound(err) && op.Verb != Create:
		return NotFound
	case apierrors.IsTooManyRequests(err):
		return Throttled
	case errors.As(err, &status) && status.Status().Code >= 400 && status.Status().Code < 500:
		return Rejected
	}
	return Unknown
}

// retryAfter is how long the API server asks to wait before the next request;
// zero if it does not.
func retryAfter(err error) time.Duration {
	asked, _ := apierrors.SuggestsClientDelay(err)
	return time.Duration(asked) * time.Second
}

func (c *Client) list(ctx context.Context, selector, notOlderThan string) (*coordinationv1.LeaseList, error) {
	opts := metav1.ListOptions{LabelSelector: selector}
	if notOlderThan != "" {
		opts.ResourceVersion = notOlderThan
		opts.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	return c.leases.List(ctx, opts)
}

func (c *Client) watch(ctx context.Context, selector, from string) (watch.Interface, error) {
	return c.leases.Watch(ctx, metav1.ListOptions{
		LabelSelector: selector, ResourceVersion: from, AllowWatchBookmarks: true,
	})
}
