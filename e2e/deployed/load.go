// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// changeInterval is long enough for no shard to weigh anything, even on a machine that is too small: what is to be seen is what the
// tests do, not how load is followed.
const changeInterval = 500 * time.Millisecond

// load changes one object after the other, so that something is written whatever happens.
type load struct {
	client  dynamic.Interface
	types   []objectType
	size    atomic.Int64 // the last that an object was given
	cancel  context.CancelFunc
	loop    sync.WaitGroup
	stopped sync.Once
}

func newLoad(client dynamic.Interface, types []objectType) *load {
	l := &load{client: client, types: types, cancel: func() {}}
	l.size.Store(1)
	return l
}

// start begins to change objects, which have to be there.
func (l *load) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	l.loop.Go(func() { l.changeLoop(ctx) })
}

// stop ends it, also if it was never started.
func (l *load) stop() {
	l.stopped.Do(func() {
		l.cancel()
		l.loop.Wait()
	})
}

func (l *load) changeLoop(ctx context.Context) {
	tick := time.NewTicker(changeInterval)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// It may fail while the machine is too busy: what counts is what the objects say in the end.
			_, _ = l.change(context.WithoutCancel(ctx), l.types[n%len(l.types)], objectName(n/len(l.types)%objectsOfType))
		}
	}
}

// change gives an object a size that none has had.
func (l *load) change(ctx context.Context, o objectType, name string) (*unstructured.Unstructured, error) {
	patch := fmt.Appendf(nil, `{"spec":{"size":%d}}`, l.size.Add(1))
	changed, err := l.client.Resource(o.GroupVersionResource).Namespace(objectsNamespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, fmt.Errorf("change %s %s: %w", o.kind, name, err)
	}
	return changed, nil
}
