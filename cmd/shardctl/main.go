// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command shardctl runs and inspects groups of controllers that share their
// leadership.
package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // the image has no database of time zones, which schedules name

	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/internal/command"
)

func main() { os.Exit(run()) }

func run() int {
	defer klog.Flush()
	if err := command.New().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "shardctl:", err)
		return 1
	}
	return 0
}
