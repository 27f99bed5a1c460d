// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"net"
)

// probe connects, and says nothing.
func (t *TCP) probe(ctx context.Context) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", t.Address)
	if err == nil {
		err = conn.Close()
	} else if wrapped := (*net.OpError)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // the rest repeats the address
	}
	return outcome(ctx, "connect to "+t.Address, err)
}
