// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

func restartAPIServer(ctx context.Context, r *run) error {
	if r.number%2 == 0 {
		return r.group.cp.RestartAPIServer(ctx)
	}
	r.tellf("by SIGKILL")
	return r.group.cp.KillAPIServer(ctx)
}

func restartEtcd(ctx context.Context, r *run) error { return r.group.cp.RestartEtcd(ctx) }

// compact makes the victim's watches resume at revisions that are gone: while its connections are cut, etcd is compacted and
// the API server restarted, whose own memory of events would go back further.
func compact(ctx context.Context, r *run) error {
	seen, err := r.group.revision(ctx)
	if err != nil {
		return err
	}
	r.victim.proxy.Refuse(true)
	r.victim.proxy.Cut()
	defer r.victim.proxy.Heal()
	if err := r.last(ctx); err != nil {
		return err
	}
	now, err := r.group.revision(ctx)
	if err != nil {
		return err
	}
	if err := r.seen(ctx, now); err != nil { // or the oracle would be blind
		return err
	}
	if err := r.group.cp.Compact(ctx); err != nil {
		return err
	}
	if err := r.group.cp.KillAPIServer(ctx); err != nil {
		return err
	}
	return r.group.checkGone(ctx, seen)
}

// checkGone returns an error unless a watch from a revision on is refused since what happened then is gone.
func (g *group) checkGone(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	watcher, err := g.client.Resource(leases).Namespace(g.name).Watch(ctx, metav1.ListOptions{ResourceVersion: strconv.FormatInt(revision, 10)})
	if err == nil {
		defer watcher.Stop()
		select {
		case event := <-watcher.ResultChan():
			if event.Type == watch.Error {
				err = apierrors.FromObject(event.Object)
			}
		case <-ctx.Done():
		}
	}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return nil
	}
	return errors.Join(fmt.Errorf("a watch from revision %d on, which is compacted, is not refused: the fault was none", revision), err)
}

// cutOffAPIServer has the last API server reach etcd no longer. It goes on answering from what it remembers.
func cutOffAPIServer(ctx context.Context, r *run) error {
	if err := r.group.cp.CutFromEtcd(1, true); err != nil {
		return err
	}
	return errors.Join(r.last(ctx), r.group.cp.CutFromEtcd(1, false))
}
