// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// The tests of the server fence make the Leases by hand: what is tested is what the API server makes of them. Replicas are
// Pods with tokens, and nothing runs in them. All may do anything, so that whatever is refused is refused by the fence.

// fenced is a group whose policies are installed.
type fenced struct {
	*cluster
	pods []*controlplane.Replica
}

// newFenced makes a namespace and as many Pods; nothing is judged yet.
func newFenced(t *testing.T, pods int) *fenced {
	t.Helper()
	f := &fenced{cluster: newCluster(t)}
	f.createNamespace(t)
	f.allowAnything(t)
	for i := range pods {
		f.pods = append(f.pods, f.newPod(t, string(rune('a'+i))))
	}
	return f
}

// newPod is a Pod with the group's service account.
func (f *fenced) newPod(t *testing.T, name string) *controlplane.Replica {
	t.Helper()
	pod, err := controlPlane.NewReplica(t.Context(), controlplane.ReplicaOptions{Namespace: f.namespace, Name: name, ServiceAccount: f.group})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (f *fenced) allowAnything(t *testing.T) {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:serviceaccounts:" + f.namespace}},
	}
	if _, err := f.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// identityOf is the first session of a Pod.
func identityOf(pod *controlplane.Replica) string {
	if pod == nil {
		return ""
	}
	return lease.Identity{Replica: lease.Replica{Pod: pod.Name, UID: pod.UID, Container: "controller", Boot: "boot"}, Incarnation: 1}.String()
}

// division is how a family is divided in a test.
type division struct {
	family    schema.GroupResource
	kind      string
	scope     string // default: Namespaced
	buckets   int    // 1: in one piece
	partition lease.Partition
}

// bucket is the bucket with an object.
func (d division) bucket(object *unstructured.Unstructured) lease.Bucket {
	position := d.partition.Position(object.GetUID(), object.GetNamespace(), object.GetName())
	for _, b := range d.all() {
		if b.Contains(position) {
			return b
		}
	}
	panic(fmt.Sprintf("no bucket of %d has the position %d", d.buckets, position))
}

func (d division) all() []lease.Bucket {
	if d.buckets <= 1 {
		return []lease.Bucket{{}}
	}
	all := make([]lease.Bucket, d.buckets)
	for i := range all {
		all[i] = lease.Bucket{Index: i, Of: d.buckets, By: d.partition}
	}
	return all
}

// leaseOf is the Lease of a bucket, held by a Pod, or nobody.
func (f *fenced) leaseOf(d division, b lease.Bucket, holder *controlplane.Replica, annotations ...string) *coordinationv1.Lease {
	scope := d.scope
	if scope == "" {
		scope = lease.ScopeNamespaced
	}
	l := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name:      lease.ShardLeaseName(f.group, lease.ShardName(d.family.String(), b)),
			Namespace: f.namespace,
			Labels: map[string]string{
				lease.LabelGroup: f.group, lease.LabelKind: lease.KindShard, lease.LabelFamily: lease.FamilyLabel(d.family.String()),
			},
			Annotations: map[string]string{lease.AnnotationKind: d.kind, lease.AnnotationScope: scope},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To(identityOf(holder))},
	}
	if b.Of > 1 {
		l.Annotations[lease.AnnotationPartition] = string(d.partition)
	}
	for i := 0; i < len(annotations); i += 2 {
		l.Annotations[annotations[i]] = annotations[i+1]
	}
	return l
}

// hold makes the Leases of a family: the Pods hold the buckets in turns.
func (f *fenced) hold(t *testing.T, d division) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(maxWriters)
	for i, b := range d.all() {
		g.Go(func() error { return f.createLease(ctx, f.leaseOf(d, b, f.pods[i%len(f.pods)])) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// holder is the Pod that hold gave a bucket to.
func (f *fenced) holder(b lease.Bucket) *controlplane.Replica { return f.pods[b.Index%len(f.pods)] }

func (f *fenced) createLease(ctx context.Context, l *coordinationv1.Lease) error {
	_, err := f.kube.CoordinationV1().Leases(f.namespace).Create(ctx, l, metav1.CreateOptions{})
	return err
}

// record makes the layout record, naming shards in one piece.
func (f *fenced) record(t *testing.T, families ...schema.GroupResource) {
	t.Helper()
	f.install(t, f.group)
	var shards []string
	for _, family := range families {
		shards = append(shards, fmt.Sprintf("%q:{}", family.String()))
	}
	f.annotate(t, lease.LayoutLeaseName(f.group), lease.AnnotationLayout, `{"settled":true,"shards":{`+strings.Join(shards, ",")+`}}`)
}

// annotate changes an annotation of a Lease, as the administrator.
func (f *fenced) annotate(t *testing.T, name, key, value string) {
	t.Helper()
	f.change(t, name, func(l *coordinationv1.Lease) { metav1.SetMetaDataAnnotation(&l.ObjectMeta, key, value) })
}

// giveTo changes the holder of a Lease, as the administrator.
func (f *fenced) giveTo(t *testing.T, name string, pod *controlplane.Replica) {
	t.Helper()
	f.change(t, name, func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To(identityOf(pod)) })
}

func (f *fenced) change(t *testing.T, name string, change func(*coordinationv1.Lease)) {
	t.Helper()
	client := f.kube.CoordinationV1().Leases(f.namespace)
	l, err := client.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(l)
	if _, err := client.Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// options of the group's fence.
func (f *fenced) options(types ...fence.Type) fence.Options {
	return fence.Options{Group: f.group, Namespace: f.namespace, ServiceAccount: f.group, Types: types}
}

// fence installs the group's policies. They are in force once a write is refused that nobody may make.
func (f *fenced) fence(t *testing.T, types ...fence.Type) *fence.Fence {
	t.Helper()
	f.sentinel(t)
	all, err := fence.New(f.options(types...))
	if err != nil {
		t.Fatal(err)
	}
	f.apply(t, all)
	return all
}

// sentinel installs the sentinel, which all tests share.
func (f *fenced) sentinel(t *testing.T) {
	t.Helper()
	general := fence.General()
	client := f.kube.AdmissionregistrationV1()
	_, err := client.ValidatingAdmissionPolicies().Create(t.Context(), general.Policies[0], metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	_, err = client.ValidatingAdmissionPolicyBindings().Create(t.Context(), general.Bindings[0], metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// apply creates policies and bindings, and removes them after the test.
func (f *fenced) apply(t *testing.T, all *fence.Fence) {
	t.Helper()
	for _, p := range all.Policies {
		created, err := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), p, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.withdraw(t, created.Name) })
	}
	for _, b := range all.Bindings {
		if _, err := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(t.Context(), b, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// withdraw removes a policy and its binding, if they are there.
func (f *fenced) withdraw(t *testing.T, name string) {
	t.Helper()
	ctx, client := context.WithoutCancel(t.Context()), f.kube.AdmissionregistrationV1()
	for _, err := range []error{
		client.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}),
		client.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	}
}

// as is a client that acts as a Pod.
func as(pod *controlplane.Replica) dynamic.Interface { return clientWith(pod.Config) }

func clientWith(config *rest.Config) dynamic.Interface {
	config = rest.CopyConfig(config)
	config.QPS = -1
	return dynamic.NewForConfigOrDie(config)
}

// refused is whether the fence has refused a write.
func refused(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), fence.MessagePrefix)
}

// checkRefused fails the test unless the fence has refused the write if and only if it should.
func checkRefused(t *testing.T, what string, err error, want bool) {
	t.Helper()
	if problem := verdict(err, want); problem != nil {
		t.Errorf("%s: %v", what, problem)
	}
}

// verdict is what is wrong with how a write ended.
func verdict(err error, wantRefused bool) error {
	switch {
	case wantRefused && err == nil:
		return errors.New("it was let through, want it refused")
	case wantRefused && !refused(err):
		return fmt.Errorf("%w, want it refused by the fence", err)
	case !wantRefused && err != nil:
		return fmt.Errorf("%w, want it let through", err)
	}
	return nil
}

// awaitRefused waits until a write is refused: a policy, or what a Lease says, is in force a moment after it was written.
func awaitRefused(t *testing.T, write func() error) {
	t.Helper()
	eventually(t, "the fence refuses", func() error { return verdict(write(), true) })
}

// awaitAllowed waits until a write is let through.
func awaitAllowed(t *testing.T, write func() error) {
	t.Helper()
	eventually(t, "the fence lets through", func() error { return verdict(write(), false) })
}

// dryRun sends a write that has no effect.
var dryRun = []string{metav1.DryRunAll}

// touch patches a label of an object, without effect.
func touch(ctx context.Context, client dynamic.ResourceInterface, name string, subresources ...string) error {
	_, err := client.Patch(ctx, name, mergePatch, []byte(`{"metadata":{"labels":{"touched":"yes"}}}`), metav1.PatchOptions{DryRun: dryRun}, subresources...)
	return err
}

// in is a client for a type in a namespace, or in none.
func in(client dynamic.Interface, gvr schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return client.Resource(gvr)
	}
	return client.Resource(gvr).Namespace(namespace)
}

// What the API server stores has the digest of what was generated, also when others have added to it.
func TestFenceDigestSurvivesStorage(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 1)
	widgets := f.resourceType("widgets").GroupResource()
	generated := f.fence(t,
		fence.Type{Resource: widgets, Attachments: []schema.GroupResource{{Resource: "configmaps"}, {Resource: "pods"}, widgets}},
		fence.Type{Resource: schema.GroupResource{Resource: "pods"}})
	stored := f.stored(t, metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + f.group + "," + fence.LabelNamespace + "=" + f.namespace})
	if len(stored.Policies) != len(generated.Policies) || stored.Digest() != generated.Digest() {
		t.Errorf("%d policies with digest %s are stored, want %d with %s", len(stored.Policies), stored.Digest(), len(generated.Policies), generated.Digest())
	}
	stored.Policies[0].Spec.Validations = nil
	if stored.Digest() == generated.Digest() {
		t.Error("the digest is the same without the validations of a policy")
	}
	for _, p := range generated.Policies {
		eventually(t, p.Name+" was checked", func() error { return f.checked(t, p.Name) })
	}
}

// checked is whether the control plane has checked the types of a policy's expressions, and found nothing.
func (f *fenced) checked(t *testing.T, name string) error {
	t.Helper()
	p, err := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if p.Status.ObservedGeneration != p.Generation {
		return errors.New("it has not been looked at")
	}
	if p.Status.TypeChecking != nil && len(p.Status.TypeChecking.ExpressionWarnings) > 0 {
		t.Fatalf("%s: %+v", name, p.Status.TypeChecking.ExpressionWarnings)
	}
	return nil
}

// stored are the policies and bindings that there are.
func (f *fenced) stored(t *testing.T, which metav1.ListOptions) *fence.Fence {
	t.Helper()
	policies, err := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), which)
	if err != nil {
		t.Fatal(err)
	}
	bindings, err := f.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(t.Context(), which)
	if err != nil {
		t.Fatal(err)
	}
	all := &fence.Fence{}
	for i := range policies.Items {
		all.Policies = append(all.Policies, &policies.Items[i])
	}
	for i := range bindings.Items {
		all.Bindings = append(all.Bindings, &bindings.Items[i])
	}
	return all
}

// unboundConfig acts as the group's service account, by a token that no Pod has.
func (f *fenced) unboundConfig(t *testing.T) *rest.Config {
	t.Helper()
	answer, err := f.kube.CoreV1().ServiceAccounts(f.namespace).CreateToken(t.Context(), f.group, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return controlPlane.ConfigForToken(answer.Status.Token)
}
