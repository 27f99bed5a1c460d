// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// statusPoll is how far off a measured time can be. A status costs one list of the group's Leases.
const statusPoll = 20 * time.Millisecond

// Status returns what `shardctl status -o json` prints, without a process for it.
func (f *Fleet) Status(ctx context.Context) (status.Status, error) {
	leases, err := f.client.CoordinationV1().Leases(f.Namespace()).
		List(ctx, metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + f.Group()})
	if err != nil {
		return status.Status{}, fmt.Errorf("status of group %s: %w", f.Group(), err)
	}
	return status.Of(f.Group(), f.Namespace(), leases.Items, time.Now()), nil
}

// AcquiredAt returns when a shard last changed hands, by the wall clock of its holder, which is this machine's.
func (f *Fleet) AcquiredAt(ctx context.Context, shard string) (time.Time, error) {
	record, err := f.client.CoordinationV1().Leases(f.Namespace()).
		Get(ctx, lease.ShardLeaseName(f.Group(), shard), metav1.GetOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("shard %s: %w", shard, err)
	}
	return lease.DecodeShard(record).Acquired, nil
}

// Command runs shardctl against the cluster, with all permissions and in the group's namespace, and returns what it printed
// to its standard output; the error has what it printed to the other. The command has to be one that takes --kubeconfig.
func (f *Fleet) Command(ctx context.Context, args ...string) (string, error) {
	args = append(args, "--kubeconfig="+f.options.Cluster.KubeconfigPath(), "--namespace="+f.Namespace())
	cmd := exec.CommandContext(ctx, f.options.Binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("shardctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// WaitFor waits until a condition holds, at most for the limit, and returns the status for which it did. What is for people
// and completes the sentence "waited for ...". A replica that ended without having been told to is an error at once, since what
// is waited for is then hardly what was meant.
func (f *Fleet) WaitFor(ctx context.Context, limit time.Duration, what string, is Condition) (status.Status, error) {
	var last status.Status
	var missing error
	err := wait.PollUntilContextTimeout(ctx, statusPoll, limit, true, func(ctx context.Context) (bool, error) {
		now, err := f.Status(ctx)
		if err == nil {
			last, err = now, is(now)
		}
		if ctx.Err() == nil { // else that is all that the error says
			missing = err // whatever it is: the API server may be about to be restarted
		}
		return err == nil, f.UnexpectedEnd()
	})
	if err == nil {
		return last, nil
	}
	return last, fmt.Errorf("waited at most %v for %s: %w\nthe status was\n%sthe replicas' logs are in %s",
		limit, what, errors.Join(missing, err), table(last), f.LogDir())
}

// table is a status for people.
func table(s status.Status) string {
	var text strings.Builder
	if err := s.Print(&text, true, time.Now()); err != nil {
		return err.Error() + "\n"
	}
	return text.String()
}
