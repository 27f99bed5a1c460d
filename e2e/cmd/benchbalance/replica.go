// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// The ways to elect.
const (
	byShardctl = "shardctl"
	byClientGo = "client-go"
)

// workInterval is how often the work for a shard does something.
const workInterval = 10 * time.Millisecond

// replica is one process of a group: it works for the shards that it is elected for, and notes when.
type replica struct {
	group, namespace, pod string
	revision              int64
	mode                  lease.Mode
	idle                  bool
	shards                []string
	config                *rest.Config
	notes                 *notes
}

// runReplica is what the program does as a replica. It is given what a fleet gives to shardctl, of which the configuration file
// says nothing that it needs.
func runReplica(ctx context.Context, args []string) error {
	r := &replica{namespace: os.Getenv("POD_NAMESPACE"), pod: os.Getenv("POD_NAME")}
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	_ = flags.String("config", "", "not read")
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	elector := flags.String("elector", byShardctl, "how to elect: "+byShardctl+" or "+byClientGo)
	events := flags.String("events", "", "the file to note events in")
	shards := flags.Int("shards", 0, "how many there are")
	flags.StringVar(&r.group, "group", "", "the name of the group")
	mode := flags.String("mode", string(lease.SessionMode), "what renews shards")
	flags.BoolVar(&r.idle, "idle", false, "only note when work for a shard begins and ends")
	flags.Int64Var(&r.revision, "revision", 0, "of the program")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	if r.config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return err
	}
	r.mode = lease.Mode(*mode)
	r.config.QPS = -1 // the API server's priority and fairness decides, for both ways to elect
	if r.notes, err = openNotes(*events); err != nil {
		return err
	}
	for i := range *shards {
		r.shards = append(r.shards, fmt.Sprintf("shard-%d", i))
	}
	switch *elector {
	case byShardctl:
		return r.runGroup(ctx)
	case byClientGo:
		return r.runElectors(ctx)
	}
	return fmt.Errorf("--elector: %q is not known: use %s or %s", *elector, byShardctl, byClientGo)
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

// work does something all the time until it is told to end, and notes when it began and ended.
func (r *replica) work(ctx context.Context, shard string) {
	r.notes.note(started, shard)
	defer r.notes.note(stopped, shard)
	if r.idle {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(workInterval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
