// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import "fmt"

// Phase is how far an [Informer] is.
type Phase uint8

const (
	// Missing: the API server does not serve the type yet, or no longer, or has not
	// been asked yet because [Set.Run] was not called.
	Missing Phase = iota
	// Syncing: the type is served; its objects are being listed or delivered.
	Syncing
	// Synced: see [Informer.Synced].
	Synced
	// Failing: the last request about the type failed; it is being retried. What was cached
	// before is still there, so Synced may be true, but it grows stale.
	Failing
	// Stopped: released, or Run has ended. The cache is what it was last.
	Stopped
)

// String returns the phase's name.
func (p Phase) String() string {
	switch p {
	case Missing:
		return "Missing"
	case Syncing:
		return "Syncing"
	case Synced:
		return "Synced"
	case Failing:
		return "Failing"
	case Stopped:
		return "Stopped"
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// State is an [Informer]'s phase and the reason for it, for status and health.
type State struct {
	Phase Phase
	// Err is why the phase is Missing (wraps [ErrNotServed]; nil while discovery
	// has not answered yet), Failing (the last error) or Stopped ([ErrReleased],
	// [ErrStopped]). Else nil.
	Err error
}

// String returns the phase and, after a colon, the error if there is one.
func (s State) String() string {
	if s.Err == nil {
		return s.Phase.String()
	}
	return s.Phase.String() + ": " + s.Err.Error()
}
