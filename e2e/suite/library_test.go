// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// operator is a small program that uses the library: it reconciles widgets and has a role.
type operator struct {
	group  *shard.Group
	client dynamic.Interface // fenced

	mu       sync.Mutex
	terms    []*shard.Term   // of reconciles, oldest first
	last     context.Context // of the newest reconcile
	observed map[string]bool
	roleRuns []context.Context
}

// A program uses the library alone: it writes within its terms only, loses one shard without losing more, and leaves nothing
// behind. This test does not run in parallel with others, whose goroutines would be taken for the library's.
func TestLibrary(t *testing.T) {
	const each = 3
	c := newCluster(t)
	c.createNamespace(t)
	c.install(t, c.group)
	types := c.createTypes(t, "widgets")
	widgets := c.watch(t, types[0])
	widgets.create(t, each)
	before := goleak.IgnoreCurrent()

	o, closeConnections := newOperator(t, c, types[0])
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.group.Run(ctx) }()
	widgets.awaitReconciled(t, each)
	eventually(t, "the role runs", func() error { return atLeast(o.runs(), 1) })
	eventually(t, "every object was observed", func() error { return atLeast(o.seen(), each) })
	o.checkTerm(t, types[0])
	o.checkFence(t, types[0], c)

	first := o.newest()
	held := first.ctx
	c.steal(t, types[0].shard())
	<-held.Done()
	if cause := context.Cause(held); !errors.Is(cause, shard.ErrTermOver) {
		t.Errorf("the reconcile's context ended because of %v, want %v", cause, shard.ErrTermOver)
	}
	// A reconcile that does not care about its context gets as far as the fence.
	if err := o.resize(context.WithoutCancel(held), types[0], c.namespace); !errors.Is(err, shard.ErrTermOver) {
		t.Errorf("a write of a term that is over: %v, want %v", err, shard.ErrTermOver)
	}
	if first.term.Valid() || first.term.Remaining() > 0 {
		t.Error("the term that was lost is valid")
	}
	widgets.resize(t, each, 5) // while somebody else holds the shard
	widgets.awaitReconciled(t, each)
	second := o.newest()
	if second.term.Epoch() <= first.term.Epoch() || second.term.Token() <= first.term.Token() {
		t.Errorf("epoch and token of the next term are %d, %d, having been %d, %d: want more",
			second.term.Epoch(), second.term.Token(), first.term.Epoch(), first.term.Token())
	}
	if o.runs() != 1 || o.roleContext().Err() != nil {
		t.Errorf("the role has run %d times and its context is done: %v, want it to go on undisturbed", o.runs(), o.roleContext().Err())
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	c.checkLeft(t)
	closeConnections()
	goleak.VerifyNone(t, before)
}

// newOperator puts the program together. Its connections, which Go keeps for later, are for the caller to close.
func newOperator(t *testing.T, c *cluster, r resourceType) (o *operator, closeConnections func()) {
	t.Helper()
	connections := connrotation.NewDialer((&net.Dialer{}).DialContext)
	config := controlPlane.Config()
	config.Dial = connections.DialContext
	group, err := shard.NewGroup(config, shard.GroupOptions{
		Name: c.group, Namespace: c.namespace, Pod: "operator", Timings: timings, WatchNamespace: c.namespace,
	})
	if err != nil {
		t.Fatal(err)
	}
	o = &operator{group: group, observed: map[string]bool{}}
	if o.client, err = dynamic.NewForConfig(group.FencedConfig()); err != nil {
		t.Fatal(err)
	}
	informer := group.Informer(r.GroupVersionResource)
	t.Cleanup(informer.Release)
	err = errors.Join(
		group.Add(shard.Controller{
			Resource: r.GroupVersionResource,
			Observe:  o.observe,
			Reconcile: func(ctx context.Context, key shard.Key) (shard.Result, error) {
				cached, ok := informer.Get(key.Namespace, key.Name)
				if !ok {
					return shard.Result{}, nil
				}
				object, err := cached.Decode()
				if err != nil {
					return shard.Result{}, err
				}
				return shard.Result{}, o.reconcile(ctx, r, object)
			},
		}),
		group.AddRole(shard.Role{Name: "housekeeping", Run: o.housekeeping}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return o, connections.CloseAll
}

func (o *operator) reconcile(ctx context.Context, r resourceType, object *unstructured.Unstructured) error {
	term, ok := shard.TermFrom(ctx)
	if !ok {
		return errors.New("a reconcile without a term")
	}
	o.mu.Lock()
	o.terms, o.last = append(o.terms, term), ctx
	o.mu.Unlock()
	if isReconciled(object) {
		return nil
	}
	object.Object["status"] = statusFor(object)
	_, err := o.client.Resource(r.GroupVersionResource).Namespace(object.GetNamespace()).UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}

func (o *operator) observe(_ context.Context, key shard.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.observed[key.Name] = true
}

func (o *operator) housekeeping(ctx context.Context) error {
	o.mu.Lock()
	o.roleRuns = append(o.roleRuns, ctx)
	o.mu.Unlock()
	<-ctx.Done()
	return nil
}

// tenure is the newest reconcile's term and context.
type tenure struct {
	term *shard.Term
	ctx  context.Context
}

func (o *operator) newest() tenure {
	o.mu.Lock()
	defer o.mu.Unlock()
	return tenure{term: o.terms[len(o.terms)-1], ctx: o.last}
}

func (o *operator) runs() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.roleRuns)
}

func (o *operator) roleContext() context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.roleRuns[0]
}

func (o *operator) seen() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.observed)
}

// resize is a write, with the fenced client.
func (o *operator) resize(ctx context.Context, r resourceType, namespace string) error {
	_, err := o.client.Resource(r.GroupVersionResource).Namespace(namespace).
		Patch(ctx, "0", mergePatch, []byte(`{"spec":{"size":3}}`), metav1.PatchOptions{})
	return err
}

func (o *operator) checkTerm(t *testing.T, r resourceType) {
	t.Helper()
	term := o.newest().term
	if term.Shard() != r.shard() || term.Epoch() < 1 || term.Token() <= 0 || !term.Valid() || term.Remaining() > timings.RenewDeadline {
		t.Errorf("term of shard %s, epoch %d, token %d, valid for %s", term.Shard(), term.Epoch(), term.Token(), term.Remaining())
	}
	if role, ok := shard.TermFrom(o.roleContext()); !ok || role.Shard() != "housekeeping" {
		t.Errorf("the role's context has the term %v", role)
	}
}

// checkFence writes within a term, outside of any, and with the reason why that should be.
func (o *operator) checkFence(t *testing.T, r resourceType, c *cluster) {
	t.Helper()
	if err := o.resize(t.Context(), r, c.namespace); !errors.Is(err, shard.ErrNoTerm) {
		t.Errorf("a write outside of any term: %v, want %v", err, shard.ErrNoTerm)
	}
	if _, err := o.client.Resource(r.GroupVersionResource).Namespace(c.namespace).Get(t.Context(), "0", metav1.GetOptions{}); err != nil {
		t.Errorf("a read outside of any term: %v", err)
	}
	if err := o.resize(shard.Unfenced(t.Context(), "a test"), r, c.namespace); err != nil {
		t.Errorf("a write that is marked as belonging to no shard: %v", err)
	}
	if err := o.resize(o.newest().ctx, r, c.namespace); err != nil {
		t.Errorf("a write of the term that is held: %v", err)
	}
}

// steal makes an elector of the standard kind the holder of a shard, for one second.
func (c *cluster) steal(t *testing.T, shardName string) {
	t.Helper()
	leases := c.kube.CoordinationV1().Leases(c.namespace)
	eventually(t, "the shard is stolen", func() error {
		l, err := leases.Get(t.Context(), lease.ShardLeaseName(c.group, shardName), metav1.GetOptions{})
		if err != nil {
			return err
		}
		now := metav1.NewMicroTime(time.Now())
		l.Spec = coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("thief"), LeaseDurationSeconds: ptr.To[int32](1), AcquireTime: &now, RenewTime: &now,
			LeaseTransitions: ptr.To(*l.Spec.LeaseTransitions + 1),
		}
		_, err = leases.Update(t.Context(), l, metav1.UpdateOptions{})
		return err
	})
}

// checkLeft fails the test if the group still has a member, or a shard a holder.
func (c *cluster) checkLeft(t *testing.T) {
	t.Helper()
	list, err := c.kube.CoordinationV1().Leases(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + c.group})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list.Items {
		if holder := ptr.Deref(l.Spec.HolderIdentity, ""); l.Labels[lease.LabelKind] == lease.KindMember || holder != "" {
			t.Errorf("Lease %s is left behind, held by %q", l.Name, holder)
		}
	}
}
