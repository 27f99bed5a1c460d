// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that is done at the first SIGTERM or SIGINT.
// After that the signals have their usual effect again: a second one kills.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(parent, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
