// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/rbac"
)

// createPermissions grants the replicas what `shardctl rbac` prints, so that whatever they do beyond it fails as it would in
// production.
func (f *Fleet) createPermissions(ctx context.Context) error {
	grant := rbac.NewGrant(f.config, rbac.Options{Namespace: f.Namespace(), ServiceAccount: serviceAccount})
	for _, object := range []metav1.Object{grant.Role, grant.RoleBinding, grant.ClusterRole, grant.ClusterRoleBinding} {
		labels := f.labels()
		maps.Copy(labels, object.GetLabels())
		object.SetLabels(labels)
	}
	api, own := f.client.RbacV1(), f.Namespace()
	if _, err := api.Roles(own).Create(ctx, grant.Role, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := api.RoleBindings(own).Create(ctx, grant.RoleBinding, metav1.CreateOptions{}); err != nil {
		return err
	}
	if _, err := api.ClusterRoles().Create(ctx, grant.ClusterRole, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := api.ClusterRoleBindings().Create(ctx, grant.ClusterRoleBinding, metav1.CreateOptions{})
	return err
}
