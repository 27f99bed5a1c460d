// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"net/http"
	"time"
)

// Firing is the run of a schedule that a call is made for. A hook that is called again for the same run, which
// may happen where that was asked for, knows it by the key.
type Firing struct {
	// Key is the same for all calls of one run, and for no others. It is printable ASCII.
	Key string

	// Scheduled is when the run was due.
	Scheduled time.Time
}

// How a hook is told of the run: headers of a webhook, variables in the environment of a program. The first is
// the one of draft-ietf-httpapi-idempotency-key-header, but without quotation marks, as most servers expect it.
const (
	headerKey       = "Idempotency-Key"
	headerScheduled = "Shardctl-Scheduled-Time"

	variableKey       = "SHARDCTL_IDEMPOTENCY_KEY"
	variableScheduled = "SHARDCTL_SCHEDULED_TIME"
)

type firingKey struct{}

// WithFiring returns a context whose calls tell the hook of a schedule's run.
func WithFiring(ctx context.Context, f Firing) context.Context {
	return context.WithValue(ctx, firingKey{}, f)
}

// setFiringHeaders tells a webhook of the run in ctx, if there is one.
func setFiringHeaders(ctx context.Context, h http.Header) {
	if f, ok := ctx.Value(firingKey{}).(Firing); ok {
		h.Set(headerKey, f.Key)
		h.Set(headerScheduled, f.Scheduled.UTC().Format(time.RFC3339))
	}
}

// firingVariables tell a program of the run in ctx. Outside of any they are empty, as those of the term are.
func firingVariables(ctx context.Context) []string {
	f, ok := ctx.Value(firingKey{}).(Firing)
	if !ok {
		return []string{variableKey + "=", variableScheduled + "="}
	}
	return []string{variableKey + "=" + f.Key, variableScheduled + "=" + f.Scheduled.UTC().Format(time.RFC3339)}
}
