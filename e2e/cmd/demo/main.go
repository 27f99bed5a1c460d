// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows shardctl at work, in about a minute: `make demo` in the root of the source tree.
//
// Three replicas of `shardctl run`, each a process with a pod-bound token of its own, reconcile 200 objects of each of the four
// types of examples/decorator. One of them is killed, then all are restarted one by one, and objects are changed all the
// while. In the end every object has to be reconciled as it was changed last. The last line is "demo: ok"; otherwise the exit
// code is 1 and the last lines say why.
//
// Environment:
//
//	KEEP=1             leave everything running in the end, until Ctrl-C
//	DEMO_KUBECONFIG    use this cluster rather than a control plane of the demo's own; what the demo makes there it removes
//	SHARDCTL_BINARY    use this shardctl rather than a fresh build
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on, a second one ends this process at once; its children go with it.
	context.AfterFunc(ctx, stop)
	keep := os.Getenv("KEEP")
	d := newDemo(os.Stdout, settings{kubeconfig: os.Getenv("DEMO_KUBECONFIG"), keep: keep != "" && keep != "0"})
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
