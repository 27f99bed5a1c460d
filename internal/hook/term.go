// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"net/http"
	"strconv"
)

// Term is the holding of a shard that a call is made for. A hook that writes to other systems hands the
// token on, and these refuse a lower one than they have seen for the shard: what a fencing token is for.
type Term struct {
	// Shard is the shard's name. Its characters are those of Kubernetes' names.
	Shard string

	// Epoch counts the changes of holder of the shard's Lease.
	Epoch int32

	// Token rises with every term of the shard, also when its Lease was deleted and made again.
	Token int64
}

// How a hook is told of the term: headers of a webhook, variables in the environment of a program.
const (
	headerShard = "Shardctl-Shard"
	headerEpoch = "Shardctl-Epoch"
	headerToken = "Shardctl-Fencing-Token"

	variableShard = "SHARDCTL_SHARD"
	variableEpoch = "SHARDCTL_EPOCH"
	variableToken = "SHARDCTL_FENCING_TOKEN"
)

type termKey struct{}

// WithTerm returns a context whose calls tell the hook of a term.
func WithTerm(ctx context.Context, t Term) context.Context {
	return context.WithValue(ctx, termKey{}, t)
}

// setHeaders tells a webhook of the term in ctx, if there is one.
func setHeaders(ctx context.Context, h http.Header) {
	t, ok := ctx.Value(termKey{}).(Term)
	if !ok {
		return
	}
	h.Set(headerShard, t.Shard)
	h.Set(headerEpoch, strconv.FormatInt(int64(t.Epoch), 10))
	h.Set(headerToken, strconv.FormatInt(t.Token, 10))
}

// variables tell a program of the term in ctx. Outside of any they are empty, lest the program take those
// that shardctl itself was started with for its own.
func variables(ctx context.Context) []string {
	t, ok := ctx.Value(termKey{}).(Term)
	if !ok {
		return []string{variableShard + "=", variableEpoch + "=", variableToken + "="}
	}
	return []string{
		variableShard + "=" + t.Shard,
		variableEpoch + "=" + strconv.FormatInt(int64(t.Epoch), 10),
		variableToken + "=" + strconv.FormatInt(t.Token, 10),
	}
}

// isVariable tells whether an environment variable is set for each call.
func isVariable(name string) bool {
	switch name {
	case variableShard, variableEpoch, variableToken, variableKey, variableScheduled:
		return true
	}
	return false
}
