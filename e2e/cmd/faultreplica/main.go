// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command faultreplica is the program that `make faults` does harm to: one replica, with a Pod's token, that reconciles the
// objects of the package workload.
//
// It elects in one of two ways. By default it is a user of the library pkg/shard, whose writes pass the local fence; built with
// the tag shardctl_nofence that lets everything pass. With --elector=client-go it is the control: one of client-go's
// electors per shard, and no fence at all.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	klog.Flush()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "faultreplica:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	r, err := newReplica(args)
	if err != nil {
		return err
	}
	if r.elector == byClientGo {
		return r.serving(ctx, r.runElectors)
	}
	return r.serving(ctx, r.runGroup)
}
