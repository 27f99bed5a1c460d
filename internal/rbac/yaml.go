// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// WriteYAML prints the grant with a comment on every rule. It leaves out the ClusterRole if
// that would have none.
func (g *Grant) WriteYAML(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# What the replicas of group %s in namespace %s are allowed, as service account %s.\n", g.group, g.Role.Namespace, g.account)
	fmt.Fprintln(&out, "# Printed by `shardctl rbac`: print it anew when the configuration changes. A rule that")
	fmt.Fprintln(&out, "# is called optional may be removed.")
	err := errors.Join(
		writeRole(&out, metav1.PartialObjectMetadata{TypeMeta: g.Role.TypeMeta, ObjectMeta: g.Role.ObjectMeta}, g.inGroup, g.Role.Rules),
		writeObject(&out, g.RoleBinding),
	)
	if len(g.cluster) > 0 {
		err = errors.Join(err,
			writeRole(&out, metav1.PartialObjectMetadata{TypeMeta: g.ClusterRole.TypeMeta, ObjectMeta: g.ClusterRole.ObjectMeta}, g.cluster, g.ClusterRole.Rules),
			writeObject(&out, g.ClusterRoleBinding),
		)
	}
	if err != nil {
		return fmt.Errorf("encoding the permissions: %w", err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("printing the permissions: %w", err)
	}
	return nil
}

func writeObject(out *bytes.Buffer, object any) error {
	text, err := yaml.Marshal(object)
	fmt.Fprintf(out, "---\n%s", text)
	return err
}

// writeRole prints a role rule by rule: comments are nothing that an encoder knows.
func writeRole(out *bytes.Buffer, header metav1.PartialObjectMetadata, rules []Rule, policy []rbacv1.PolicyRule) error {
	if err := writeObject(out, header); err != nil {
		return err
	}
	fmt.Fprintln(out, "rules:")
	for i, r := range rules {
		fmt.Fprintf(out, "# To %s.\n", r.For)
		if r.Optional() {
			fmt.Fprintf(out, "# Optional: without it, %s.\n", r.Without)
		}
		text, err := yaml.Marshal(policy[i : i+1])
		if err != nil {
			return err
		}
		out.Write(text)
	}
	return nil
}
