// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"
	"unicode"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/pkg/lease"
)

// cluster is one test's part of the control plane: a namespace, a group of the same name, and an API group for types.
type cluster struct {
	namespace string
	group     string
	apiGroup  string

	kube    kubernetes.Interface
	dynamic dynamic.Interface
}

// newCluster chooses the names. What is made of them goes with the control plane.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	config := controlPlane.Config()
	name := slug(t.Name()) + "-" + strings.ToLower(rand.Text()[:5])
	return &cluster{
		namespace: name,
		group:     name,
		apiGroup:  name + ".suite.shardctl.dev",
		kube:      kubernetes.NewForConfigOrDie(config),
		dynamic:   dynamic.NewForConfigOrDie(config),
	}
}

// createNamespace makes the namespace, for tests without a fleet, which makes its own.
func (c *cluster) createNamespace(t *testing.T) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}}
	if _, err := c.kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// install creates the layout record of a new group, so that its first start needs no wait.
func (c *cluster) install(t *testing.T, group string) {
	t.Helper()
	layout := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name:   lease.LayoutLeaseName(group),
		Labels: map[string]string{lease.LabelGroup: group, lease.LabelKind: lease.KindLayout},
	}}
	if _, err := c.kube.CoordinationV1().Leases(c.namespace).Create(t.Context(), layout, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// slug makes a short DNS label of a test's name: TestSteadyState becomes steady-state.
func slug(name string) string {
	var b strings.Builder
	for i, r := range strings.TrimPrefix(name, "Test") {
		switch {
		case unicode.IsUpper(r) && i > 0:
			b.WriteByte('-')
			fallthrough
		case unicode.IsLetter(r), unicode.IsDigit(r):
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Trim(b.String()[:min(b.Len(), 30)], "-")
}

// patience is how long a test waits for what has to happen. It says nothing about how fast it should.
const patience = 90 * time.Second

const pollInterval = 50 * time.Millisecond

// eventually waits until condition returns nil. What it returned last is why a test fails that waited in vain.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	eventuallyWithin(t, patience, what, condition)
}

// eventuallyWithin is eventually with a patience of its own.
func eventuallyWithin(t *testing.T, patience time.Duration, what string, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s until %s: %v", patience, what, err)
		case <-ticker.C:
		}
	}
}
