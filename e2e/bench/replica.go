// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// workInterval is how often the work for a shard does something.
const workInterval = 10 * time.Millisecond

// electors are the ways to elect, by what --elector calls them. The two modes of shardctl are one.
func electors() map[string]func(*replica, context.Context) error {
	return map[string]func(*replica, context.Context) error{
		string(session):           (*replica).runGroup,
		string(clientGo):          (*replica).runElectors,
		string(knative):           (*replica).runReconcilers,
		string(controllerRuntime): (*replica).runManager,
	}
}

// args tell a replica to elect as the contender does.
func (c contender) args() []string {
	switch c {
	case leaseMode:
		return []string{"--elector=" + string(session), "--mode=" + string(lease.LeaseMode)}
	case workFirst:
		return []string{"--elector=" + string(clientGo), "--stop-work-first"}
	default:
		return []string{"--elector=" + string(c)}
	}
}

// label is the contender as a part of a DNS label.
func (c contender) label() string { return strings.NewReplacer(", ", "-", " ", "-").Replace(string(c)) }

// replica is one process of a group: it works for the shards that it is elected for, and notes when.
type replica struct {
	group, namespace, pod string
	revision              int64
	mode                  lease.Mode
	idle                  bool
	stopWorkFirst         bool
	stopTakes             time.Duration
	shards                []string
	config                *rest.Config
	notes                 *notes

	mu      sync.Mutex // guards what follows
	working map[string]bool
	over    bool // the process is about to end
}

// runReplica is what the program does as a replica. It is given what a fleet gives to shardctl, of which the configuration file
// says nothing that it needs. SIGTERM ends the context: each elector then does what its library does to leave in order.
func runReplica(ctx context.Context, args []string) error {
	r := &replica{namespace: os.Getenv("POD_NAMESPACE"), pod: os.Getenv("POD_NAME"), working: map[string]bool{}}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	_ = flags.String("config", "", "not read")
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	elector := flags.String("elector", string(session), "how to elect: "+strings.Join(electorNames(), ", "))
	events := flags.String("events", "", "the file to note events in")
	shards := flags.Int("shards", 0, "how many there are")
	flags.StringVar(&r.group, "group", "", "the name of the group")
	mode := flags.String("mode", string(lease.SessionMode), "what renews shards, with "+string(session))
	flags.BoolVar(&r.idle, "idle", false, "only note when work for a shard begins and ends")
	flags.DurationVar(&r.stopTakes, "stop-takes", 0, "for how long the work goes on once it is told to stop")
	flags.BoolVar(&r.stopWorkFirst, "stop-work-first", false, "end the election once the work has ended, with "+string(clientGo))
	flags.Int64Var(&r.revision, "revision", 0, "of the program, if the Pod does not say")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	run, ok := electors()[*elector]
	if !ok {
		return fmt.Errorf("--elector: %q is not known: use one of %s", *elector, strings.Join(electorNames(), ", "))
	}
	if r.config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return err
	}
	r.config.QPS = -1 // the API server's priority and fairness decides, for all ways to elect
	r.mode = lease.Mode(*mode)
	if r.notes, err = openNotes(*events); err != nil {
		return err
	}
	for i := range *shards {
		r.shards = append(r.shards, fmt.Sprintf("shard-%d", i))
	}
	defer r.cutOff()
	return run(r, ctx)
}

func electorNames() []string {
	return []string{string(session), string(clientGo), string(knative), string(controllerRuntime)}
}

// runGroup takes part in the group with one role per shard, at the default timings (15 s, 9 s, 3 s).
func (r *replica) runGroup(ctx context.Context) error {
	group, err := shard.NewGroup(r.config, shard.GroupOptions{Name: r.group, Namespace: r.namespace, Revision: r.revision, Mode: r.mode})
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range r.shards {
		errs = append(errs, group.AddRole(shard.Role{Name: name, Run: func(ctx context.Context) error {
			r.work(ctx, name)
			return nil
		}}))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return group.Run(ctx)
}

// work does something all the time until it is told to end, and as long after that as it takes. It notes when it began and when
// it had ended.
func (r *replica) work(ctx context.Context, shard string) {
	if !r.begin(shard) {
		return
	}
	defer r.end(shard)
	var ticks, over <-chan time.Time
	if !r.idle {
		ticker := time.NewTicker(workInterval)
		defer ticker.Stop()
		ticks = ticker.C
	}
	told := ctx.Done()
	for {
		select {
		case <-told:
			if r.stopTakes == 0 {
				return
			}
			told, over = nil, time.After(r.stopTakes)
		case <-over:
			return
		case <-ticks:
		}
	}
}

// begin notes the beginning of the work for a shard, unless it is too late for that.
func (r *replica) begin(shard string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return false
	}
	r.working[shard] = true
	r.notes.note(started, shard)
	return true
}

func (r *replica) end(shard string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.working[shard] {
		delete(r.working, shard)
		r.notes.note(stopped, shard)
	}
}

// cutOff notes the end of all work that has not ended, since the process ends at once.
func (r *replica) cutOff() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for shard := range r.working {
		r.notes.note(stopped, shard)
	}
	clear(r.working)
}

// works tells whether the work for a shard has begun and not ended.
func (r *replica) works(shard string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.working[shard]
}
