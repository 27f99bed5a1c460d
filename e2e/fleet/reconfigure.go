// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/rbac"
)

// Reconfigure has all replicas find another text in their configuration file, and grants them what that needs besides. The text
// is not checked: it may be one that they refuse.
func (f *Fleet) Reconfigure(ctx context.Context, text []byte) error {
	if cfg, err := config.Parse(configFile, text); err == nil {
		grant := rbac.NewGrant(cfg, rbac.Options{Namespace: f.Namespace(), ServiceAccount: serviceAccount})
		grant.ClusterRole.Labels = f.labels()
		if _, err := f.client.RbacV1().ClusterRoles().Update(ctx, grant.ClusterRole, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("group %s: permissions of the new configuration: %w", f.Group(), err)
		}
	}
	return f.writeConfig(text)
}

// writeConfig replaces the file as a whole: nobody reads the half of it.
func (f *Fleet) writeConfig(text []byte) error {
	next := f.configPath() + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := os.Rename(next, f.configPath()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
