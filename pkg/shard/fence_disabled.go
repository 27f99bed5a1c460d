// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build shardctl_nofence

package shard

import "context"

// The tag shardctl_nofence makes a program whose local fence refuses no write and
// cancels none. It is for tests of the API server's fence, which has to do
// without; no release is built with it.

// entitled returns the term that counts the write, if there still is one.
func entitled(ctx context.Context) (*Term, error) {
	if term, ok := TermFrom(ctx); ok && term.sending() {
		return term, nil
	}
	return nil, nil
}

// atEnd leaves the write alone.
func atEnd(*Term, func()) (stop func()) { return func() {} }
