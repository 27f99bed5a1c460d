// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/faults/workload"
)

// grant allows the replicas what the workload does; a fleet grants what shardctl does with its configuration, which is less.
func (g *group) grant(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(g.cp.Config())
	if err != nil {
		return err
	}
	objects := rbacv1.PolicyRule{Verbs: []string{"get", "list", "watch", "patch"}}
	for _, t := range g.types {
		objects.APIGroups = []string{t.Group} // the same for all of a group
		objects.Resources = append(objects.Resources, t.Resource, t.Resource+"/status")
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "workload"}, Rules: []rbacv1.PolicyRule{
		objects,
		{
			APIGroups: []string{workload.ConfigMaps.Group}, Resources: []string{workload.ConfigMaps.Resource},
			Verbs: []string{"get", "list", "watch", "create", "patch", "delete"},
		},
	}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: g.name, Name: serviceAccount}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	if _, err := client.RbacV1().Roles(g.name).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("grant what the workload does: %w", err)
	}
	if _, err := client.RbacV1().RoleBindings(g.name).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("grant what the workload does: %w", err)
	}
	return nil
}
