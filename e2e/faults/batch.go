// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// maxBatch limits how many runs one control plane sees, whose whole history is kept.
const maxBatch = 25

// batch is some runs of one kind on a control plane of their own.
type batch struct {
	options  Options
	kind     Kind
	dir      string
	program  string
	cp       *controlplane.ControlPlane
	witness  *witness
	groups   []*group
	from, to int // the runs' numbers: to is the first not to be done

	mu       sync.Mutex
	next     int
	outcomes map[*group][]outcome
}

// run does the whole batch. What it has started has ended when it returns. The row counts even if there is an error: what has
// come of the runs so far.
func (b *batch) run(ctx context.Context) (row Row, err error) {
	row.Kind = b.kind
	b.next, b.outcomes = b.from, map[*group][]outcome{}
	servers := 1
	if b.kind.twoAPIServers {
		servers = 2
	}
	b.cp, err = controlplane.New(ctx, controlplane.Options{
		LogDir: filepath.Join(b.dir, "controlplane"), Audit: controlplane.AuditRequestResponse, KeepHistory: true,
		APIServers: servers, Output: b.options.Progress,
	})
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, b.cp.Stop()) }()
	if b.witness, err = newWitness(ctx, b.cp); err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, b.witness.close()) }()
	failed := b.runGroups(ctx)
	for _, g := range b.groups {
		failed = errors.Join(failed, g.close())
	}
	if ctx.Err() != nil {
		return row, context.Cause(ctx)
	}
	judged, err := b.sumUp(ctx)
	row.add(judged)
	return row, errors.Join(failed, err)
}

// runGroups has all groups do runs side by side, until there are no more or the control plane breaks.
func (b *batch) runGroups(ctx context.Context) error {
	n := 1
	if !b.kind.ofServers {
		n = min(b.options.Groups, b.to-b.from)
	}
	running, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	defer done()
	running.Go(func() error { return b.cp.Wait(ctx) })
	working, workCtx := errgroup.WithContext(ctx)
	for i := range n {
		g := newGroup(b.cp, b.kind, fmt.Sprintf("%s-%c", b.kind.Name, 'a'+i))
		b.groups = append(b.groups, g)
		working.Go(func() error {
			if err := g.start(workCtx, b.program, b.dir); err != nil {
				return fmt.Errorf("start group %s: %w", g.name, err)
			}
			return b.runAll(workCtx, g)
		})
	}
	running.Go(func() error {
		defer done()
		return working.Wait()
	})
	return running.Wait()
}

// runAll does runs with one group as long as there are some to be done. One after which the group does not settle is the
// group's last: the next could not be told from it.
func (b *batch) runAll(ctx context.Context, g *group) error {
	before, err := g.awaitSettled(ctx)
	if err == nil && before.reason != nil {
		err = fmt.Errorf("group %s is not ready after %s: %w; the replicas' logs are in %s", g.name, settleLimit, before.reason, g.fleet.LogDir())
	}
	if err != nil {
		return err
	}
	from, err := g.revision(ctx)
	for err == nil {
		number, ok := b.draw()
		if !ok {
			break
		}
		var o outcome
		if o, err = b.runOne(ctx, g, number, from); err != nil {
			return fmt.Errorf("%s, run %d (SEED=%d): %w; the logs are in %s", b.kind.Name, number+1, b.options.Seed, err, b.dir)
		}
		from = o.to
		if o.unsettled.reason != nil {
			break // what is counted says that this is an error
		}
	}
	for _, r := range g.replicas {
		err = errors.Join(err, r.scrape(ctx))
	}
	return err
}

func (b *batch) draw() (number int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next >= b.to {
		return 0, false
	}
	b.next++
	return b.next - 1, true
}

func (b *batch) runOne(ctx context.Context, g *group, number int, from int64) (outcome, error) {
	r := newRun(g, number, b.options)
	r.seen = b.witness.await
	r.tellf = func(format string, args ...any) {
		fmt.Fprintf(b.options.Progress, "%s %s %d/%d %s: %s\n", time.Now().Format(time.TimeOnly), b.kind.Name, number+1, b.options.Runs, g.name, fmt.Sprintf(format, args...))
	}
	o, err := r.do(ctx)
	if err != nil {
		return o, err
	}
	if o.unsettled.reason != nil {
		r.tellf("NOT SETTLED after %s (SEED=%d): %v", settleLimit, b.options.Seed, o.unsettled.reason)
	}
	o.from = from
	if o.to, err = g.revision(ctx); err != nil {
		return o, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes[g] = append(b.outcomes[g], o)
	return o, nil
}

// sumUp judges all runs. Each group's last window ends at the very end, so that no write escapes that came late.
func (b *batch) sumUp(ctx context.Context) (row Row, err error) {
	for _, g := range b.groups {
		outcomes := b.outcomes[g]
		for _, r := range g.replicas {
			row.RefusedLocally += r.refused.sum()
		}
		if len(outcomes) == 0 {
			continue
		}
		end, err := g.revision(ctx)
		if err != nil {
			return row, err
		}
		outcomes[len(outcomes)-1].to = end
		history, err := b.witness.history(ctx, end)
		if err != nil {
			return row, err
		}
		for _, o := range outcomes {
			row.Runs++
			row.Unreconciled += o.unsettled.unreconciled
			if o.unsettled.reason != nil {
				row.Unsettled++
			}
			row.add(judge(g, history, o, b.options.Progress))
		}
	}
	return row, nil
}

// revision is up to where everything has been written that was written before.
func (g *group) revision(ctx context.Context) (int64, error) {
	list, err := g.client.Resource(leases).Namespace(g.name).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("revision of etcd: %w", err)
	}
	return strconv.ParseInt(list.GetResourceVersion(), 10, 64)
}
