// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// AuditLogs copies the audit log out of the node of the control plane, into one file that each call writes anew.
func (c *Cluster) AuditLogs(ctx context.Context) ([]string, error) {
	node, err := c.controlPlane()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, "audit.log")
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("copy the audit log: %w", err)
	}
	if err := node.CommandContext(ctx, "cat", auditLogPath).SetStdout(file).Run(); err != nil {
		return nil, fmt.Errorf("copy the audit log: %w", err)
	}
	return []string{path}, file.Close()
}

// Evidence writes what kind export logs does.
func (c *Cluster) Evidence(_ context.Context, dir string) error {
	if err := c.provider.CollectLogs(c.options.Name, dir); err != nil {
		return fmt.Errorf("collect the logs of cluster %s: %w", c.options.Name, err)
	}
	return nil
}
