// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// stocked is how many objects of each shape caches are filled with, and stockedQuickly in a hurry.
	stocked, stockedQuickly = 10_000, 40
	// creators work side by side: more of them do not make two cores faster.
	creators = 8
	// stockNamespaces are how many the objects of a shape are spread over.
	stockNamespaces = 10
	// stockSettles is for how long nothing is measured after objects were created: until then the servers still write them to disk
	// and compact, and collect garbage.
	stockSettles = 5 * time.Second
	// weighed is how many objects are looked at to know how large they are as JSON, on average no less than lightest bytes and no
	// more than heaviest: about 4 KB.
	weighed, lightest, heaviest = 500, 3.0 * kilobyte, 5.5 * kilobyte
)

// Who writes objects in life: a tool of people, and the type's own controller.
const (
	byInstaller  = client.FieldOwner("helm")
	byController = client.FieldOwner("kube-controller-manager")
)

// stock creates the objects of these shapes that caches are filled with, unless they are there: what one part has created is
// there for the next. Nobody removes them before the control plane goes.
func (b *bench) stock(ctx context.Context, shapes ...shape) error {
	cp, err := b.controlPlane(ctx)
	if err != nil {
		return err
	}
	ctrl.SetLogger(klog.Background()) // or the client complains that there is none
	cfg := cp.Config()
	cfg.QPS = -1
	c, err := client.New(cfg, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		return fmt.Errorf("client that creates objects: %w", err)
	}
	for i := range stockNamespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: stockNamespace(i)}}
		if err := c.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create namespace %s: %w", namespace.Name, err)
		}
	}
	settled := true
	for _, s := range shapes {
		created, err := b.stockOne(ctx, c, s)
		if err != nil {
			return fmt.Errorf("create %s: %w", s.name, err)
		}
		settled = settled && !created
	}
	if settled || b.quick {
		return nil
	}
	return pause(ctx, stockSettles)
}

// stockOne creates all objects of a shape, unless they are there.
func (b *bench) stockOne(ctx context.Context, c client.Client, s shape) (created bool, err error) {
	n, began := b.stocked(), time.Now()
	last := s.make(n - 1)
	switch err := c.Get(ctx, client.ObjectKeyFromObject(last), last); {
	case err == nil:
		return false, nil // they are all there
	case !apierrors.IsNotFound(err):
		return false, err
	}
	var next atomic.Int64
	tasks, ctx := errgroup.WithContext(ctx)
	for range creators {
		tasks.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := s.create(ctx, c, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := tasks.Wait(); err != nil {
		return false, err
	}
	b.tellf("created %d %s in %.1f s", n, s.name, time.Since(began).Seconds())
	return true, nil
}

// stocked is how many objects there are of each shape.
func (b *bench) stocked() int {
	if b.quick {
		return stockedQuickly
	}
	return stocked
}

func stockNamespace(i int) string { return fmt.Sprintf("stock-%d", i%stockNamespaces) }

// create makes an object as its user does, and then writes its status as its controller does: objects in life have
// managedFields of both.
func (s shape) create(ctx context.Context, c client.Client, i int) error {
	object := s.make(i)
	if err := c.Create(ctx, object, byInstaller); err != nil {
		return err
	}
	if s.settle == nil {
		return nil
	}
	s.settle(object)
	return c.Status().Update(ctx, object, byController)
}

// weight is how many bytes an object has as JSON, on average, as the API server sends it.
type weight struct {
	whole             float64
	withoutManagement float64 // without managedFields
}

func weigh(ctx context.Context, cfg *rest.Config, s shape) (weight, error) {
	c, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return weight{}, err
	}
	list, err := c.Resource(s.resource).Namespace(stockNamespace(0)).List(ctx, metav1.ListOptions{Limit: weighed})
	if err != nil {
		return weight{}, fmt.Errorf("list %s: %w", s.name, err)
	}
	var w weight
	for _, object := range list.Items {
		whole, err := json.Marshal(object.Object)
		if err != nil {
			return weight{}, fmt.Errorf("encode %s: %w", object.GetName(), err)
		}
		unstructured.RemoveNestedField(object.Object, "metadata", "managedFields")
		without, err := json.Marshal(object.Object)
		if err != nil {
			return weight{}, fmt.Errorf("encode %s: %w", object.GetName(), err)
		}
		w.whole += float64(len(whole)) / float64(len(list.Items))
		w.withoutManagement += float64(len(without)) / float64(len(list.Items))
	}
	if w.whole < lightest || w.whole > heaviest {
		return weight{}, fmt.Errorf("%s have %.0f bytes of JSON on average, want %.0f to %.0f: the figures are said to be of such ones", s.name, w.whole, lightest, heaviest)
	}
	return w, nil
}
