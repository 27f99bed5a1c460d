// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// limit of all waiting: many times what anything takes. A rolling update is the longest, at half a minute.
	limit = 4 * time.Minute
	poll  = 100 * time.Millisecond
)

// eventually waits until the check has no error, at most for the limit. What completes the sentence "waited until ...".
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	var missing error
	err := wait.PollUntilContextTimeout(t.Context(), poll, limit, true, func(ctx context.Context) (bool, error) {
		now := check(ctx)
		if ctx.Err() == nil { // else that is all that it says
			missing = now
		}
		return now == nil, nil
	})
	if err != nil {
		t.Fatalf("waited %s until %s: %v", limit, what, missing)
	}
}

// status is what `shardctl status` shows.
func (s *suite) status(ctx context.Context) (status.Status, error) {
	leases, err := s.kube.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + name})
	if err != nil {
		return status.Status{}, fmt.Errorf("status: %w", err)
	}
	return status.Of(name, namespace, leases.Items, time.Now()), nil
}

// await waits until the status is as it has to be, and returns it.
func (s *suite) await(t *testing.T, what string, conditions ...fleet.Condition) status.Status {
	t.Helper()
	var last status.Status
	eventually(t, what, func(ctx context.Context) error {
		now, err := s.status(ctx)
		if err != nil {
			return err
		}
		last = now
		if err := fleet.All(conditions...)(now); err != nil {
			return fmt.Errorf("%w; the status is\n%s", err, table(now))
		}
		return nil
	})
	return last
}

func table(s status.Status) string {
	var text strings.Builder
	if err := s.Print(&text, true, time.Now()); err != nil {
		return err.Error()
	}
	return text.String()
}
