// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Labels of everything that a fleet creates in a cluster, but the group's own Leases.
const (
	// NamespaceLabel has the fleet's namespace, for whoever has to clean up by hand.
	NamespaceLabel = "fleet.shardctl.dev/namespace"
	// runLabel tells this fleet from all others, so that Uninstall removes nothing of theirs.
	runLabel = "fleet.shardctl.dev/run"
)

// serviceAccount of all replicas.
const serviceAccount = "shardctl"

// install creates each thing before what needs it.
func (f *Fleet) install(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"namespace", f.createNamespace},
		{"service account", f.createServiceAccount},
		{"permissions", f.createPermissions},
		{"layout record", f.createLayoutRecord},
		{"CRDs", func(ctx context.Context) error { return f.InstallCRDs(ctx, f.options.CRDs...) }},
	} {
		if err := step.do(ctx); apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("install group %s: %s: %w: if that is left from a run that was killed, remove it with: "+
				"kubectl delete namespaces,clusterroles,clusterrolebindings,customresourcedefinitions -l %s=%s",
				f.Group(), step.what, err, NamespaceLabel, f.Namespace())
		} else if err != nil {
			return fmt.Errorf("install group %s: %s: %w", f.Group(), step.what, err)
		}
	}
	return nil
}

// meta is the metadata of something that the fleet creates, and Uninstall removes.
func (f *Fleet) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: f.labels()}
}

func (f *Fleet) labels() map[string]string {
	return map[string]string{NamespaceLabel: f.Namespace(), runLabel: f.run}
}

func (f *Fleet) createNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: f.meta(f.Namespace())}
	_, err := f.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	return err
}

func (f *Fleet) createServiceAccount(ctx context.Context) error {
	account := &corev1.ServiceAccount{ObjectMeta: f.meta(serviceAccount)}
	_, err := f.client.CoreV1().ServiceAccounts(f.Namespace()).Create(ctx, account, metav1.CreateOptions{})
	return err
}

func (f *Fleet) createLayoutRecord(ctx context.Context) error {
	if !f.options.LayoutRecord {
		return nil
	}
	record := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:   lease.LayoutLeaseName(f.Group()),
		Labels: map[string]string{lease.LabelGroup: f.Group(), lease.LabelKind: lease.KindLayout},
	}}
	_, err := f.client.CoordinationV1().Leases(f.Namespace()).Create(ctx, record, metav1.CreateOptions{})
	return err
}
