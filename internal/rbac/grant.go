// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/lease"
)

// LabelNamespace is on every object of a [Grant]: the group's namespace. The group's
// name is there under [lease.LabelGroup].
const LabelNamespace = "shardctl.dev/namespace"

// Options say to whom permissions are granted.
type Options struct {
	// Namespace is that of the group's Leases and of the service account. Required.
	Namespace string
	// ServiceAccount is the replicas'. Required.
	ServiceAccount string
	// NoOptional leaves out what replicas can do without.
	NoOptional bool
}

// Grant is what allows a service account to run a group's replicas, in objects that
// are ready to be applied. The rules in the Role are those confined to the group's
// namespace.
type Grant struct {
	Role               *rbacv1.Role
	RoleBinding        *rbacv1.RoleBinding
	ClusterRole        *rbacv1.ClusterRole
	ClusterRoleBinding *rbacv1.ClusterRoleBinding

	group, account   string
	inGroup, cluster []Rule // whose PolicyRules are those of the Role and ClusterRole
}

// NewGrant makes the grant for a configuration.
func NewGrant(cfg *config.Config, o Options) *Grant {
	rules := Rules(cfg)
	if o.NoOptional {
		rules = slices.DeleteFunc(rules, Rule.Optional)
	}
	g := &Grant{group: cfg.Name, account: o.ServiceAccount}
	for _, r := range rules {
		if r.InGroup {
			g.inGroup = append(g.inGroup, r)
		} else {
			g.cluster = append(g.cluster, r)
		}
	}
	labels := map[string]string{lease.LabelGroup: cfg.Name, LabelNamespace: o.Namespace}
	own := metav1.ObjectMeta{Name: "shardctl:" + cfg.Name, Namespace: o.Namespace, Labels: labels}
	wide := metav1.ObjectMeta{Name: fmt.Sprintf("shardctl:%s:%s", o.Namespace, cfg.Name), Labels: labels}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.Namespace, Name: o.ServiceAccount}}

	g.Role = &rbacv1.Role{TypeMeta: kind("Role"), ObjectMeta: own, Rules: policyRules(g.inGroup)}
	g.RoleBinding = &rbacv1.RoleBinding{TypeMeta: kind("RoleBinding"), ObjectMeta: own, Subjects: subjects, RoleRef: refTo("Role", own.Name)}
	g.ClusterRole = &rbacv1.ClusterRole{TypeMeta: kind("ClusterRole"), ObjectMeta: wide, Rules: policyRules(g.cluster)}
	g.ClusterRoleBinding = &rbacv1.ClusterRoleBinding{
		TypeMeta: kind("ClusterRoleBinding"), ObjectMeta: wide, Subjects: subjects, RoleRef: refTo("ClusterRole", wide.Name),
	}
	return g
}

func kind(name string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: name}
}

func refTo(kind, name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

// policyRules makes one of each rule, so that each can be explained, and removed.
func policyRules(rules []Rule) []rbacv1.PolicyRule {
	out := make([]rbacv1.PolicyRule, len(rules))
	for i, r := range rules {
		out[i] = rbacv1.PolicyRule{APIGroups: []string{r.Resource.Group}, Resources: []string{r.Target()}, Verbs: r.Verbs}
	}
	return out
}
