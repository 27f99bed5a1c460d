// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package child

import (
	"context"
	"errors"
)

var errNotLinux = errors.New("exec roles need Linux, which alone can end all processes of a program reliably: run shardctl there, or use a leadership role")

// Supported tells why exec roles cannot be run here; nil if they can.
func Supported() error { return errNotLinux }

// Guard fails: there are no guardians here.
func Guard() error { return errNotLinux }

// ReapOrphans has nothing to do.
func ReapOrphans(context.Context) error { return nil }

// attempt is never called: [New] has failed.
func (c *Child) attempt(context.Context, Term, *limits) *Record {
	return &Record{ExitCode: -1, Error: errNotLinux.Error()}
}
