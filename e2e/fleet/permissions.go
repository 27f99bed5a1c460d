// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
)

// createPermissions grants the replicas what they need, so that whatever they do beyond it fails as it would in production.
func (f *Fleet) createPermissions(ctx context.Context) error {
	rbac, own := f.client.RbacV1(), f.Namespace()
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: own, Name: serviceAccount}}

	role := &rbacv1.Role{ObjectMeta: f.meta(serviceAccount), Rules: leaseRules()}
	if _, err := rbac.Roles(own).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: f.meta(serviceAccount), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
	}
	if _, err := rbac.RoleBindings(own).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return err
	}
	clusterRole := &rbacv1.ClusterRole{ObjectMeta: f.meta("shardctl:" + own), Rules: typeRules(f.config)}
	if _, err := rbac.ClusterRoles().Create(ctx, clusterRole, metav1.CreateOptions{}); err != nil {
		return err
	}
	clusterBinding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: f.meta(clusterRole.Name), Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole.Name},
	}
	_, err := rbac.ClusterRoleBindings().Create(ctx, clusterBinding, metav1.CreateOptions{})
	return err
}

// leaseRules are for the group's own Leases, in its namespace.
func leaseRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{
		APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"},
		Verbs: []string{"get", "list", "watch", "create", "update", "delete"},
	}}
}

// typeRules are for the types that a configuration names, in all namespaces.
func typeRules(cfg *config.Config) []rbacv1.PolicyRule {
	rules := []rbacv1.PolicyRule{{
		APIGroups: []string{crdResource.Group}, Resources: []string{crdResource.Resource}, Verbs: []string{"list", "watch"},
	}}
	for _, role := range cfg.Roles {
		for _, parent := range role.Decorator.Spec.Resources {
			rules = append(rules,
				typeRule(parent.Resource, "", "get", "list", "watch", "update", "patch"),
				typeRule(parent.Resource, "/status", "update", "patch"))
		}
		for _, attachment := range role.Decorator.Spec.Attachments {
			rules = append(rules, typeRule(attachment.Resource, "", "get", "list", "watch", "create", "update", "patch", "delete"))
		}
	}
	return rules
}

func typeRule(resource decorator.Resource, subresource string, verbs ...string) rbacv1.PolicyRule {
	gvr := resource.GVR()
	return rbacv1.PolicyRule{APIGroups: []string{gvr.Group}, Resources: []string{gvr.Resource + subresource}, Verbs: verbs}
}
