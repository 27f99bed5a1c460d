// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// operator is a process with a controller of one of the contenders, for the items that installItems has made. It reconciles one
// whenever that changes, and all of them whenever one object of another type, its trigger, does.
//
// Every controller has the same work to do (see work) and the best that its project offers for it: the peers keep nothing but
// metadata in their caches, write no log lines for a reconcile, and take part in no election unless that is what is measured.
// The one of shardctl always does, and keeps whole objects.
type operator struct {
	group, namespace string
	config           *rest.Config
	workers          int
	items            int
	trigger          string
	work             *work

	buckets       int  // of shardctl
	priorityQueue bool // of controller-runtime: its default, or else client-go's
	elects        bool // of controller-runtime: whether its replicas elect a leader
}

// runReconciler is what the program does as a replica with a controller.
func runReconciler(ctx context.Context, args []string) error {
	op := &operator{namespace: os.Getenv("POD_NAMESPACE")}
	flags := pflag.NewFlagSet("reconcile", pflag.ContinueOnError)
	who := flags.String("contender", string(session), "whose controller: "+string(session)+", "+string(knative)+" or "+string(controllerRuntime))
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	bursts := flags.String("bursts", "", "the file to note in what was reconciled")
	takes := flags.Duration("takes", 0, "how long a reconcile waits, as for an answer")
	calls := flags.Int("calls", 0, "how many reconciles of the process wait at a time; 0 for no limit but the workers")
	each := flags.Bool("each", false, "note when each reconcile begins")
	flags.StringVar(&op.group, "group", "", "the name of the group")
	flags.StringVar(&op.trigger, "trigger", "", "the name of the trigger")
	flags.IntVar(&op.items, "items", 0, "how many there are")
	flags.IntVar(&op.workers, "workers", 1, "how many keys are reconciled at a time; of each bucket, if there are buckets")
	flags.IntVar(&op.buckets, "buckets", 1, "into how many shards "+string(session)+" divides the items")
	flags.BoolVar(&op.priorityQueue, "priority-queue", true, "which queue "+string(controllerRuntime)+" uses: its own, or client-go's")
	flags.BoolVar(&op.elects, "elects", false, "let "+string(controllerRuntime)+" elect a leader")
	err := flags.Parse(args)
	if err != nil {
		return err
	}
	if op.config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return err
	}
	op.config.QPS = -1 // the API server's priority and fairness decides, for all contenders
	op.work = newWork(*takes, *calls, *each)
	file, err := os.OpenFile(*bursts, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("bursts: %w", err)
	}
	defer file.Close()
	loops, ctx := errgroup.WithContext(ctx)
	loops.Go(func() error { return op.work.noteLoop(ctx, file) })
	loops.Go(func() error { return op.run(ctx, contender(*who)) })
	return loops.Wait()
}

func (op *operator) run(ctx context.Context, who contender) error {
	controllers := map[contender]func(context.Context) error{
		session: op.runShardctl, knative: op.runKnative, controllerRuntime: op.runControllerRuntime,
	}
	if run := controllers[who]; run != nil {
		return run(ctx)
	}
	return fmt.Errorf("--contender: %q has no controller: use %s, %s or %s", who, session, knative, controllerRuntime)
}
