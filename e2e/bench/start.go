// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	// starts are how many each figure is the median of.
	starts = 3
	// startLimit bounds one start.
	startLimit = 2 * time.Minute
	// startPoll is how often what a program notes is read. No time depends on it.
	startPoll = 10 * time.Millisecond
)

// measureStart takes the time from the start of a process to the first reconcile of every type it has a controller for: its caches
// have synced then, and it has been elected. Every group is new, so nobody waits for a Lease to expire. Ours has one more figure:
// the start of a second replica beside one that runs, until it reconciles its share of the types; the others would stand by.
//
// The peers have typed caches and ask for protocol buffers, which is the best they can do for these types, but cannot do for
// custom resources. Ours asks for JSON of all types, as controller-runtime does for unstructured objects: that is measured, too.
//
// The contenders have their turns one after the other, and a different one begins each round: all start while the servers have as much
// to remember.
func measureStart(ctx context.Context, b *bench) error {
	if err := b.stock(ctx, shapes()...); err != nil {
		return err
	}
	who := []contender{session, knative, controllerRuntime, ctrlUnstructured}
	rounds := starts
	if b.quick {
		rounds = 1
	}
	alone, beside := make([][]launched, len(who)), make([][]launched, len(who))
	for round := range rounds {
		for i := range who {
			i := (i + round) % len(who)
			first, second, err := b.startGroup(ctx, who[i], round)
			if err != nil {
				return fmt.Errorf("%s: %w", who[i], err)
			}
			alone[i], beside[i] = append(alone[i], first), append(beside[i], second...)
		}
	}
	name := fmt.Sprintf("_%d_types_%d_objects_each", len(shapes()), b.stocked())
	for i, w := range who {
		b.addStarts("start"+name, w, alone[i])
		if len(beside[i]) > 0 {
			b.addStarts("start_beside_another"+name, w, beside[i])
		}
	}
	return nil
}

// launch is one start of a program.
type launch struct {
	name    string
	events  string
	log     string
	began   time.Time
	process *fleet.Process
}

// launched is how a start went.
type launched struct {
	took     time.Duration
	cpu, own float64 // seconds of processor time, and bytes of memory that are the process's own
}

// startGroup starts the first program of a group, and with ours a second one beside it.
func (b *bench) startGroup(ctx context.Context, who contender, round int) (first launched, second []launched, err error) {
	group := fmt.Sprintf("start-%s-%d", strings.ReplaceAll(string(who), ", ", "-"), round)
	f, err := fleet.New(ctx, fleet.Options{
		Cluster: b.cp, Binary: "unused", Config: configuration(group, shapeResources()...), LayoutRecord: true, Dir: filepath.Join(b.dir, group),
	})
	if err != nil {
		return launched{}, nil, err
	}
	var running []*fleet.Process
	defer func() {
		for _, p := range running {
			err = errors.Join(err, p.Kill())
		}
	}()
	start := func(name string, types int) (launched, error) {
		l, err := b.launch(ctx, f, who, name)
		if err != nil {
			return launched{}, err
		}
		running = append(running, l.process)
		return l.await(ctx, types)
	}
	if first, err = start(group+"-first", len(shapes())); err != nil || who != session {
		return first, nil, err
	}
	share, err := start(group+"-second", len(shapes())/2)
	return first, []launched{share}, err
}

func (b *bench) addStarts(name string, who contender, all []launched) {
	add := func(name, unit string, of func(launched) float64) {
		var values []float64
		for _, l := range all {
			values = append(values, of(l))
		}
		b.sample(name, who, unit, values)
		slices.Sort(values)
		b.add(figure{Name: name, Who: who, Unit: unit, Value: values[len(values)/2]})
	}
	add(name, "s", func(l launched) float64 { return l.took.Seconds() })
	add(name+"_cpu", "s", func(l launched) float64 { return l.cpu })
	add(name+"_own_memory", "MB", func(l launched) float64 { return l.own / megabyte })
}

// launch makes a Pod and starts the program as it.
func (b *bench) launch(ctx context.Context, f *fleet.Fleet, who contender, name string) (*launch, error) {
	pod, err := b.cp.NewReplica(ctx, controlplane.ReplicaOptions{Namespace: f.Namespace(), Name: name, ServiceAccount: crewAccount})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &launch{name: name, events: filepath.Join(f.LogDir(), name+".events"), log: filepath.Join(f.LogDir(), name+".log")}
	args := []string{"cache", "start", "--kubeconfig=" + pod.Kubeconfig, "--who=" + string(who), "--group=" + f.Group(), "--events=" + l.events}
	env := []string{"POD_NAME=" + name, "POD_UID=" + string(pod.UID), "POD_NAMESPACE=" + f.Namespace()}
	l.began = time.Now()
	l.process, err = fleet.StartProcess(self, args, env, l.log)
	return l, err
}

// await waits until so many types are reconciled, and returns when the last of them was for the first time.
func (l *launch) await(ctx context.Context, types int) (launched, error) {
	var seen []event
	err := wait.PollUntilContextTimeout(ctx, startPoll, startLimit, true, func(context.Context) (_ bool, err error) {
		if !l.process.Running() {
			return false, errors.New("it has ended by itself")
		}
		seen, err = readEvents(l.events, l.name)
		return len(seen) >= types, err
	})
	if err != nil {
		return launched{}, fmt.Errorf("%s: waited at most %s for it to reconcile %d types, saw %d: %w; its log is %s", l.name, startLimit, types, len(seen), err, l.log)
	}
	f, err := footprintOf(l.process.PID())
	return launched{took: seen[types-1].At.Sub(l.began), cpu: f.cpu, own: f.own}, err
}
