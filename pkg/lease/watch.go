// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/klog/v2"
)

const (
	minWatchPause = 50 * time.Millisecond
	maxWatchPause = 2 * time.Second
)

var (
	errWatchSilent  = errors.New("the watch showed nothing, not even the own heartbeat")
	errWatchExpired = errors.New("the watch is too far behind: list again")
)

// watchLoop keeps the group's list-watch going and hands what it shows to the
// machine. It goes on where it broke off if it can, and lists again only where
// it must. Failed attempts are spaced by a jittered pause that doubles.
func (d *Driver) watchLoop(ctx context.Context) error {
	from, pause := "", minWatchPause
	for ctx.Err() == nil {
		began := d.clock.Now()
		var err error
		if from == "" {
			from, err = d.list(ctx)
		}
		if err == nil {
			from, err = d.watch(ctx, from)
		}
		if errors.Is(err, errWatchExpired) {
			from = ""
		}
		if d.clock.Now().Sub(began) > maxWatchPause {
			pause = minWatchPause // it had worked for a while
		}
		klog.FromContext(ctx).V(3).Info("Watch of the group's Leases ended", "err", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, maxWatchPause)
	}
	return nil
}

// list hands over a whole list that is not older than anything known (R3).
func (d *Driver) list(ctx context.Context) (resourceVersion string, err error) {
	bounded, cancel := context.WithTimeout(ctx, 2*d.timings.RequestTimeout())
	defer cancel()
	bounded, conn := withConnection(bounded)
	var newest string
	select {
	case newest = <-d.newest:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	began := d.clock.Now()
	l, err := d.client.list(bounded, d.selector, newest)
	d.handler.Requested("list", outcome(Op{}, err), d.clock.Now().Sub(began))
	if err != nil {
		if bounded.Err() != nil && ctx.Err() == nil {
			conn.close()
		}
		return "", fmt.Errorf("listing Leases %s: %w", d.selector, err)
	}
	leases := make([]*coordinationv1.Lease, len(l.Items))
	for i := range l.Items {
		leases[i] = &l.Items[i]
	}
	d.deliver(ctx.Done(), Listed{ResourceVersion: l.ResourceVersion, Leases: leases})
	return l.ResourceVersion, nil
}

// watch hands over events until the watch ends, and returns the
// resourceVersion to go on from. A watch that has shown nothing by the time at
// which an own heartbeat must have been sent and answered is stuck: it is given
// up together with its connection, early enough for the next one to show that
// heartbeat before the RenewDeadline.
func (d *Driver) watch(ctx context.Context, from string) (resourceVersion string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx, conn := withConnection(ctx)
	patience := d.timings.RenewInterval + d.timings.RequestTimeout()
	silence := time.AfterFunc(patience, func() {
		conn.close()
		cancel(errWatchSilent)
	})
	defer silence.Stop()
	w, err := d.client.watch(ctx, d.selector, from)
	d.handler.Requested("watch", outcome(Op{}, err), 0)
	if err != nil {
		return from, watchError(ctx, err)
	}
	defer w.Stop()
	for {
		select {
		case ev, open := <-w.ResultChan():
			if !open {
				return from, context.Cause(ctx)
			}
			silence.Reset(patience)
			if ev.Type == watch.Error {
				return from, watchError(ctx, apierrors.FromObject(ev.Object))
			}
			l, ok := ev.Object.(*coordinationv1.Lease)
			if !ok {
				return from, fmt.Errorf("watching Leases: an event with a %T", ev.Object)
			}
			from = l.ResourceVersion
			d.show(ctx, ev.Type, l)
		case <-ctx.Done():
			return from, context.Cause(ctx)
		}
	}
}

func (d *Driver) show(ctx context.Context, t watch.EventType, l *coordinationv1.Lease) {
	if t == watch.Bookmark {
		d.deliver(ctx.Done(), Progressed{ResourceVersion: l.ResourceVersion})
		return
	}
	d.deliver(ctx.Done(), Observed{Lease: l, Deleted: t == watch.Deleted})
}

// watchError tells a watch that has to start with a new list from one that can
// go on.
func watchError(ctx context.Context, err error) error {
	status := apierrors.APIStatus(nil)
	gone := errors.As(err, &status) && status.Status().Code == http.StatusGone
	if gone || apierrors.IsResourceExpired(err) || apierrors.ReasonForError(err) == metav1.StatusReasonExpired {
		return errWatchExpired
	}
	return fmt.Errorf("watching Leases: %w", errors.Join(err, context.Cause(ctx)))
}
