// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/watchlist"
)

// FromDynamic makes a dynamic client a [Client], such as client-go's fake in a test.
// It decodes every object in full to encode it again: [NewClient] is for all else.
func FromDynamic(client dynamic.Interface) Client { return dynamicClient{client} }

type dynamicClient struct{ client dynamic.Interface }

// IsWatchListSemanticsUnSupported tells client-go whether lists can be streamed.
func (c dynamicClient) IsWatchListSemanticsUnSupported() bool {
	return watchlist.DoesClientNotSupportWatchListSemantics(c.client)
}

func (c dynamicClient) in(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(resource)
	}
	return c.client.Resource(resource).Namespace(namespace)
}

func (c dynamicClient) List(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (*List, error) {
	from, err := c.in(resource, namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	list := &List{TypeMeta: metav1.TypeMeta{Kind: from.GetKind(), APIVersion: from.GetAPIVersion()}}
	list.SetResourceVersion(from.GetResourceVersion())
	list.SetContinue(from.GetContinue())
	list.SetRemainingItemCount(from.GetRemainingItemCount())
	for i := range from.Items {
		item, err := NewObject(&from.Items[i])
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

func (c dynamicClient) Watch(ctx context.Context, resource schema.GroupVersionResource, namespace string, opts metav1.ListOptions) (watch.Interface, error) {
	from, err := c.in(resource, namespace).Watch(ctx, opts)
	if err != nil {
		return nil, err
	}
	w := &encodedWatch{from: from, result: make(chan watch.Event), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// encodedWatch hands on what a dynamic client's watch shows, as an [*Object] each.
type encodedWatch struct {
	from   watch.Interface
	result chan watch.Event
	stop   sync.Once
	done   chan struct{} // closed by Stop: nobody listens any more
}

func (w *encodedWatch) ResultChan() <-chan watch.Event { return w.result }

func (w *encodedWatch) Stop() {
	w.stop.Do(func() {
		close(w.done)
		w.from.Stop()
	})
}

func (w *encodedWatch) run() {
	defer close(w.result)
	for event := range w.from.ResultChan() {
		if u, ok := event.Object.(*unstructured.Unstructured); ok {
			object, err := NewObject(u)
			event.Object = object
			if err != nil {
				event = watch.Event{Type: watch.Error, Object: &metav1.Status{Status: metav1.StatusFailure, Message: err.Error()}}
			}
		}
		select {
		case w.result <- event:
		case <-w.done:
			return
		}
	}
}

// NewObject encodes an object: for a [Client] that has it decoded, and for tests of what
// takes an [*Object].
func NewObject(u *unstructured.Unstructured) (*Object, error) {
	data, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	o := &Object{}
	return o, o.UnmarshalJSON(data)
}
