// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import "errors"

var (
	// ErrNotServed says that discovery does not list the type: its
	// CustomResourceDefinition is not there (yet), does not serve that version,
	// or the name is misspelt. It is the error of a [Missing] State.
	ErrNotServed = errors.New("not served by the API server")

	// ErrReleased is returned by an [Informer] on which Release was called.
	ErrReleased = errors.New("informer was released")

	// ErrStopped is returned by an [Informer] whose [Set] has stopped, because
	// the context of Run ended.
	ErrStopped = errors.New("informers have stopped")

	// ErrAlreadyRun is returned by the second call of [Set.Run]: a Set runs once.
	ErrAlreadyRun = errors.New("informers were run before: make a new Set")
)
