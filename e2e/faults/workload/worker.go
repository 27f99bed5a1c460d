// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/oracle"
)

// fieldManager of the children.
const fieldManager = "faultreplica"

// A reconcile pauses between its writes, so that whatever happens to the process mostly happens in the middle of one.
const (
	minPause = 30 * time.Millisecond
	maxPause = 120 * time.Millisecond
)

// marks of this process so far, so that no two are alike.
var marks atomic.Int64

// Mark is the annotations by which an object says who wrote it last, for writes that no audit log has, because the API server
// was killed before it could write the entry. The term tells one writing from another.
func Mark(writer, term string) map[string]string {
	return map[string]string{oracle.AnnotationWriter: writer, oracle.AnnotationTerm: term}
}

// Worker writes what a replica has to.
type Worker struct {
	Client dynamic.Interface
	// PodUID is that of the replica.
	PodUID types.UID
}

// Reconcile brings one object, and its child, to what its number says; the term is for the annotations. It goes on to the end
// whatever happens to the context, and returns everything that failed.
func (w Worker) Reconcile(ctx context.Context, t Type, object *unstructured.Unstructured, term string) error {
	ctx = context.WithoutCancel(ctx)
	said := Mark(string(w.PodUID), fmt.Sprintf("%s/%d", term, marks.Add(1)))
	var errs []error
	for _, write := range []func(context.Context, Type, *unstructured.Unstructured, map[string]string) error{
		w.mark, w.bringChild, w.observe,
	} {
		time.Sleep(minPause + rand.N(maxPause-minPause))
		errs = append(errs, write(ctx, t, object, said))
	}
	return errors.Join(errs...)
}

// mark notes on the object who is at work.
func (w Worker) mark(ctx context.Context, t Type, object *unstructured.Unstructured, said map[string]string) error {
	return w.patch(ctx, t, object, map[string]any{"metadata": map[string]any{"annotations": said}})
}

func (w Worker) bringChild(ctx context.Context, t Type, object *unstructured.Unstructured, said map[string]string) error {
	children := w.Client.Resource(ConfigMaps).Namespace(object.GetNamespace())
	if !WantsChild(Value(object)) {
		err := children.Delete(ctx, t.ChildName(object.GetName()), metav1.DeleteOptions{})
		return ignoreGone(err)
	}
	child := t.Child(object, said)
	_, err := children.Apply(ctx, child.GetName(), child, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

// observe writes the number into the status, where it comes last: a status that shows the number says that the rest is done.
func (w Worker) observe(ctx context.Context, t Type, object *unstructured.Unstructured, said map[string]string) error {
	status := map[string]any{"status": map[string]any{"observed": Value(object)}}
	if t.Status {
		return w.patch(ctx, t, object, status, "status")
	}
	status["metadata"] = map[string]any{"annotations": said}
	return w.patch(ctx, t, object, status)
}

// patch names no resourceVersion: it is carried out whatever anybody else has written.
func (w Worker) patch(ctx context.Context, t Type, object *unstructured.Unstructured, patch map[string]any, subresources ...string) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = w.Client.Resource(t.GroupVersionResource).Namespace(object.GetNamespace()).
		Patch(ctx, object.GetName(), types.MergePatchType, text, metav1.PatchOptions{}, subresources...)
	return ignoreGone(err)
}

// ignoreGone takes what no longer exists for what needs no write.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
