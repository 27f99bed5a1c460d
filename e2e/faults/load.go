// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/e2e/oracle"
)

const (
	// objectsOfType are there all the time.
	objectsOfType = 16
	// changeInterval makes about two reconciles of each type run at any moment.
	changeInterval = 50 * time.Millisecond
	// Every so many changes an object is made, and the one made before is deleted.
	changesPerBirth = 10
	// requestTimeout bounds every request of this program.
	requestTimeout = 5 * time.Second
)

// load keeps changing the objects that a group reconciles. While a fault lasts, changes may fail: what counts is what the
// objects say in the end.
type load struct {
	client    dynamic.Interface
	namespace string
	types     []workload.Type
	changes   int64 // so far, whether they succeeded or not
}

func newLoad(client dynamic.Interface, namespace string, types []workload.Type) *load {
	return &load{client: client, namespace: namespace, types: types}
}

func (l *load) create(ctx context.Context) error {
	for _, t := range l.types {
		for i := range objectsOfType {
			object := t.New(l.namespace, fmt.Sprint("object-", i), 1)
			if _, err := l.objects(t).Create(ctx, object, metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create %s %s: %w", t.Kind, object.GetName(), err)
			}
		}
	}
	return nil
}

func (l *load) objects(t workload.Type) dynamic.ResourceInterface {
	return l.client.Resource(t.GroupVersionResource).Namespace(l.namespace)
}

// changing changes objects until the work has returned, whose error it returns.
func (l *load) changing(ctx context.Context, work func(context.Context) error) error {
	busy, done := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { l.changeLoop(busy) })
	err := work(ctx)
	done()
	loop.Wait()
	return err
}

func (l *load) changeLoop(ctx context.Context) {
	tick := time.NewTicker(changeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// To the end, or its outcome would be unknown. It may fail while servers are away: the next one is on its way.
			_ = l.change(context.WithoutCancel(ctx))
		}
	}
}

// change gives the next object another number, and sometimes makes one and deletes another.
func (l *load) change(ctx context.Context) error {
	n := l.changes
	l.changes++
	t := l.types[n%int64(len(l.types))]
	turn := n / int64(len(l.types))
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": workload.Mark(oracle.NoReplica, fmt.Sprint(n))},
		"spec":     map[string]any{"value": n + 2},
	})
	if err != nil {
		return err
	}
	name := fmt.Sprint("object-", turn%objectsOfType)
	_, err = l.objects(t).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if turn%changesPerBirth == 0 {
		err = errors.Join(err, l.replace(ctx, t, turn/changesPerBirth))
	}
	return err
}

// replace makes the type's next passing object and deletes the one before it.
func (l *load) replace(ctx context.Context, t workload.Type, n int64) error {
	passing := func(i int64) string { return fmt.Sprint("passing-", i) }
	object := t.New(l.namespace, passing(n), n+1)
	object.SetAnnotations(workload.Mark(oracle.NoReplica, passing(n)))
	_, err := l.objects(t).Create(ctx, object, metav1.CreateOptions{})
	gone := l.objects(t).Delete(ctx, passing(n-1), metav1.DeleteOptions{})
	if apierrors.IsNotFound(gone) {
		gone = nil // the first has none before it, or it could not be made
	}
	return errors.Join(err, gone)
}
