// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/fence"
)

// Not in parallel with others: those delete Leases of shards by hand, which the guard refuses, and the guard is for all.
func TestStatusTellsWhatTheServerFenceIsWorth(t *testing.T) {
	c := newCluster(t)
	widgets := c.createTypes(t, "widgets")[0]
	d := c.deploy(t, rolesFor(webhook(serveHook(t, answerWith(reflectSpec)), hookTimeout), widgets)...)
	d.launch(t, "a", "b")
	d.await(t, "two replicas to be ready", fleet.All(fleet.Spread(1, 2), noProblem(widgets)))

	d.awaitFence(t, status.FenceMissing, "nothing is installed for this group")
	own := d.printedFence(t)
	f, general := &fenced{cluster: c}, fence.General()
	f.sentinel(t)
	f.apply(t, own)
	d.awaitFence(t, status.FenceIncomplete, "guard.fence.shardctl.dev, which all groups need")
	f.apply(t, &fence.Fence{Policies: general.Policies[1:], Bindings: general.Bindings[1:]})
	d.awaitFence(t, status.FenceMatching, "")
	// The guard lets the replicas hand over.
	d.operate(t, "drain", d.holderOf(t, widgets.shard()).Name())
	if out := d.status(t); !strings.HasSuffix(out, "\n\nServer fence: matching\n") {
		t.Errorf("the table does not end with the fence:\n%s", out)
	}
	testStatusWithoutPolicies(t, d)

	edit := func(failurePolicy string) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"spec": {"failurePolicy": %q}}`, failurePolicy)
		_, err := c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().
			Patch(t.Context(), own.Policies[0].Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	edit("Ignore")
	d.awaitFence(t, status.FenceDiffers, "the configuration of a, b calls for")
	edit("Fail")
	d.awaitFence(t, status.FenceMatching, "")
	bindings := c.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if err := bindings.Delete(t.Context(), own.Bindings[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.awaitFence(t, status.FenceIncomplete, "there is no binding of policy "+own.Policies[0].Name)
}

// printedFence is what `shardctl fence` prints for the group.
func (d *deployment) printedFence(t *testing.T) *fence.Fence {
	t.Helper()
	out, code := shardctl(t, "fence", d.configuration(), "--service-account=shardctl") // the fleet's
	if code != 0 {
		t.Fatalf("shardctl fence exits with %d and prints\n%s", code, out)
	}
	printed := &fence.Fence{}
	for _, document := range strings.Split(out, "---\n")[1:] {
		var (
			meta    metav1.TypeMeta
			policy  admissionregistrationv1.ValidatingAdmissionPolicy
			binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
		)
		for _, into := range []any{&meta, &policy, &binding} {
			if err := yaml.Unmarshal([]byte(document), into); err != nil {
				t.Fatal(err)
			}
		}
		if meta.Kind == "ValidatingAdmissionPolicy" {
			printed.Policies = append(printed.Policies, &policy)
		} else {
			printed.Bindings = append(printed.Bindings, &binding)
		}
	}
	return printed
}

// awaitFence waits until the status tells that state of the fence, for that reason. What members call for comes with their
// heartbeats.
func (d *deployment) awaitFence(t *testing.T, state status.FenceState, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the fence is %s", state), func() error {
		var s status.Status
		if err := json.Unmarshal([]byte(d.status(t, "-o", "json")), &s); err != nil {
			return err
		}
		if s.Fence.State != state || !strings.Contains(s.Fence.Reason, reason) {
			return fmt.Errorf("it is %q, want %q: ...%s", s.Fence, state, reason)
		}
		return nil
	})
}

// testStatusWithoutPolicies has somebody ask for the status who may list Leases, and nothing else.
func testStatusWithoutPolicies(t *testing.T, d *deployment) {
	viewer, err := controlPlane.NewReplica(t.Context(), controlplane.ReplicaOptions{Namespace: d.Namespace(), Name: "viewer", ServiceAccount: "viewer"})
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "viewer", Namespace: d.Namespace()},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"list"}}},
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: d.Namespace(), Name: "viewer"}},
	}
	if _, err := d.cluster.kube.RbacV1().Roles(d.Namespace()).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.cluster.kube.RbacV1().RoleBindings(d.Namespace()).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := "\nServer fence: unknown: to see it, have the permission to list validatingadmissionpolicies and validatingadmissionpolicybindings of "
	eventually(t, "the status names the permission", func() error { // permissions take a moment
		out, code := shardctl(t, "status", "--kubeconfig", viewer.Kubeconfig, "--namespace", d.Namespace())
		if code != 0 || !strings.Contains(out, want) || !strings.Contains(out, "2 members, 1 shards") {
			return fmt.Errorf("exit code %d and\n%s", code, out)
		}
		return nil
	})
}
