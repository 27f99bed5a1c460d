// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// timings make take-overs short, but leave a busy machine some time.
var timings = lease.Timings{LeaseDuration: 4 * time.Second, RenewDeadline: 2400 * time.Millisecond, RenewInterval: 800 * time.Millisecond}

// callTimeout is longer than any call takes.
const callTimeout = 10 * time.Second

// Options of a run. ControlPlane, Binary, Program and Dir are required.
type Options struct {
	// ControlPlane has kept its history, and is restarted.
	ControlPlane *controlplane.ControlPlane
	// Binary is the path of shardctl.
	Binary string
	// Program is called by some of the schedules, with its standard input to be posted to the URL in the environment variable
	// [URLVariable].
	Program []string
	// Env is added to the environment of the replicas, as KEY=value.
	Env []string
	// Dir receives the logs of the replicas, and all that is judged as evidence.log.
	Dir string
	// Seed of what is up to chance: the order of the strikes and whom they hit.
	Seed uint64
	// Tellf, if set, is told what happens. It is called from one goroutine at a time.
	Tellf func(format string, args ...any)
}

// URLVariable is the environment variable by which a program that is called knows where the hook is.
const URLVariable = "SHARDCTL_SCHEDULES_HOOK"

// group is the one that everything is done to.
type group struct {
	name      string
	roles     []Role
	cluster   *fleet.Networked
	fleet     *fleet.Fleet
	hook      *hook
	chronicle *chronicle
	traps     traps
}

// groupName is also that of the namespace.
const groupName = "schedules"

// pods of the replicas.
func pods() []string { return []string{"a", "b", "c"} }

// start installs the group and launches its replicas. What it has made when it fails is for close to end.
func start(ctx context.Context, o Options) (*group, error) {
	g := &group{name: groupName, roles: Roles(), cluster: fleet.Networks(o.ControlPlane)}
	var err error
	if g.chronicle, err = newChronicle(ctx, o.ControlPlane, g.name, g.roles); err != nil {
		return g, err
	}
	g.chronicle.told = g.traps.told()
	g.hook = serveHook(g.roles)
	g.hook.called, g.hook.answered = g.traps.called, g.traps.answered
	g.hook.server.Start()
	configuration, err := g.configuration(o.Program)
	if err != nil {
		return g, err
	}
	g.fleet, err = fleet.New(ctx, fleet.Options{
		Cluster: g.cluster, Binary: o.Binary, Config: configuration, LayoutRecord: true, Env: o.Env, Dir: o.Dir,
	})
	if err != nil {
		return g, err
	}
	for _, pod := range pods() {
		if _, err := g.fleet.Launch(ctx, pod); err != nil {
			return g, err
		}
	}
	return g, nil
}

// close ends everything but what is in the cluster.
func (g *group) close() error {
	var errs []error
	if g.fleet != nil {
		errs = append(errs, g.fleet.Close())
	}
	if g.hook != nil {
		g.hook.close()
	}
	if g.chronicle != nil {
		errs = append(errs, g.chronicle.recorder.Stop())
	}
	return errors.Join(append(errs, g.cluster.Close())...)
}

func (g *group) configuration(program []string) ([]byte, error) {
	roles := make([]any, len(g.roles))
	for i, r := range g.roles {
		roles[i] = map[string]any{"name": r.Name, "schedule": r.configuration(g.hook.server.URL, program)}
	}
	return yaml.Marshal(map[string]any{
		"apiVersion": "shardctl.dev/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]any{"name": g.name},
		"spec": map[string]any{
			"namespace": g.name,
			"timings": map[string]any{
				"leaseDuration": timings.LeaseDuration.String(), "renewDeadline": timings.RenewDeadline.String(), "renewInterval": timings.RenewInterval.String(),
			},
			"http":  map[string]any{"address": "127.0.0.1:0"},
			"roles": roles,
		},
	})
}

func (r Role) configuration(url string, program []string) map[string]any {
	delivery := map[schedule.Delivery]string{schedule.AtMostOnce: "atMostOnce", schedule.AtLeastOnce: "atLeastOnce"}
	configured := map[string]any{"cron": r.Cron, "concurrencyPolicy": string(r.Concurrency), "delivery": delivery[r.Delivery]}
	if r.Deadline > 0 {
		configured["startingDeadlineSeconds"] = int(r.Deadline.Seconds())
	}
	if r.Exec {
		configured["exec"] = map[string]any{
			"command": program, "env": []any{map[string]any{"name": URLVariable, "value": url}}, "timeout": callTimeout.String(),
		}
	} else {
		configured["webhook"] = map[string]any{"url": url, "timeout": callTimeout.String()}
	}
	return configured
}

// holds are the roles that a replica holds, as far as their Leases say.
func (g *group) holds(r *fleet.Replica) []Role {
	return slices.DeleteFunc(slices.Clone(g.roles), func(role Role) bool { return g.chronicle.holder(role.Name) != r.Name() })
}

// holder is the replica that holds a role; nil if none does.
func (g *group) holder(role string) *fleet.Replica { return g.fleet.Replica(g.chronicle.holder(role)) }

// awaitProgress waits until every busy role has claimed something in a term that goes on, after what was claimed when the wait
// began: so all replicas' harm is overcome.
func (g *group) awaitProgress(ctx context.Context) error {
	before := map[string]time.Time{}
	for _, r := range g.roles {
		before[r.Name] = g.chronicle.now(r.Name).Record.Claimed.Tick
	}
	return g.chronicle.await(ctx, "every busy schedule to go on", func() error {
		for _, r := range g.roles {
			now := g.chronicle.now(r.Name)
			claimed := now.Record.Claimed
			if r.isBusy() && (!claimed.Tick.After(before[r.Name]) || claimed.Epoch != now.Epoch) {
				return fmt.Errorf("%s claimed %s in epoch %d last, and now there is epoch %d of %q", r.Name, claimed.Tick, claimed.Epoch, now.Epoch, now.Holder)
			}
		}
		return nil
	})
}

// awaitNotHolding waits until all that a replica held is held by somebody else.
func (g *group) awaitNotHolding(ctx context.Context, r *fleet.Replica) error {
	return g.chronicle.await(ctx, "the others to hold all that "+r.Name()+" held", func() error {
		if held := g.holds(r); len(held) > 0 {
			return fmt.Errorf("it holds %s", held[0].Name)
		}
		return nil
	})
}
