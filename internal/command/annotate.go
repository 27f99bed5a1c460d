// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
)

// conflicts is how often, and after which pauses, a Lease is read and written
// again that a replica has written meanwhile: heartbeats are seconds apart.
var conflicts = wait.Backoff{Steps: 6, Duration: 10 * time.Millisecond, Factor: 3, Jitter: 0.5}

// annotate sets an annotation of a Lease by compare-and-swap, or removes it where
// the value is empty, and tells whether that changed anything. What refuse says of
// the Lease as it was read is the error, and then nothing is written; it may be
// asked several times.
func (g *group) annotate(ctx context.Context, name, key, value string, refuse func(*coordinationv1.Lease) error) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err = retry.RetryOnConflict(conflicts, func() error {
		l, err := g.leases.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading Lease %s/%s: %w", g.namespace, name, err)
		}
		if err := refuse(l); err != nil {
			return err
		}
		if l.Annotations[key] == value {
			return nil
		}
		if value == "" {
			delete(l.Annotations, key)
		} else {
			metav1.SetMetaDataAnnotation(&l.ObjectMeta, key, value)
		}
		if _, err := g.leases.Update(ctx, l, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("setting %s of Lease %s/%s to %q: %w", key, g.namespace, name, value, err)
		}
		changed = true
		return nil
	})
	return changed, err
}
