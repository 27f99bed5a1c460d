// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Compact throws away etcd's history up to now, as `etcdctl compact --physical` does. Who has yet to read some of it, such as
// an API server that is cut off or a watch on etcd itself, is told that it is gone.
//
// That alone ends no watch on an API server, and makes none fail with 410 Gone: it has the recent history in its watch caches.
// A client gets that answer that resumes at an old resource version after the API server was restarted, or whose API server
// was cut off meanwhile and has to begin its caches anew.
func (c *ControlPlane) Compact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.StartTimeout)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{c.EtcdEndpoint()}, TLS: c.EtcdTLS()})
	if err != nil {
		return fmt.Errorf("compact etcd: %w", err)
	}
	defer func() { _ = client.Close() }()
	now, err := client.Get(ctx, "/registry", clientv3.WithCountOnly()) // there need not be such a key to learn the revision
	if err != nil {
		return fmt.Errorf("compact etcd: ask for the revision: %w", err)
	}
	revision := now.Header.GetRevision()
	if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return fmt.Errorf("compact etcd at revision %d: %w", revision, err)
	}
	return nil
}
