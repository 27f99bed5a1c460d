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
	"k8s.io/client-go/util/connrotation"
)

// Client sends the group's requests. It has connections of its own and no rate
// limiter, so that nothing else a replica does can cost it its session.
type Client struct {
	leases coordinationclient.LeaseInterface
	// reset closes all connections: a request that got no answer may sit on a
	// dead one, and the next must not.
	reset func()
}

// dialTimeout bounds one attempt to connect.
const dialTimeout = 5 * time.Second

// NewClient makes a client for the Leases of a namespace.
func NewClient(cfg *rest.Config, namespace string) (*Client, error) {
	own := rest.CopyConfig(cfg)
	own.QPS = -1
	own.RateLimiter = nil
	own.Timeout = 0 // every request has a deadline of its own
	own.ContentType = runtime.ContentTypeProtobuf
	own.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	dial := own.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext
	}
	connections := connrotation.NewDialer(connrotation.DialFunc(dial))
	own.Dial = connections.DialContext
	c, err := coordinationclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for Leases: %w", err)
	}
	return &Client{leases: c.Leases(namespace), reset: connections.CloseAll}, nil
}

// NewClientFor wraps a typed client, such as one with its faults in a test.
// Its connections are not reset.
func NewClientFor(leases coordinationclient.LeaseInterface) *Client {
	return &Client{leases: leases, reset: func() {}}
}

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
	now := metav1.NowMicro()
	switch op.Stamp {
	case StampAcquire:
		l.Spec.AcquireTime, l.Spec.RenewTime = &now, &now
	case StampRenew:
		l.Spec.RenewTime = &now
	case StampNone:
	}
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
