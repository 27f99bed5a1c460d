// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// Object is an object as a cache keeps it: its JSON, compressed, and beside that
// the part of its metadata that is asked for at every event. Everything else is
// decoded when somebody wants it, by [Object.Decode], [Object.DecodeInto] or
// [Object.GetAnnotations], each time anew: the result is the caller's own.
//
// An Object does not change and is shared by everybody in the process. What its
// methods return must not be changed either, other than what is decoded: maps, slices and
// pointers are the cache's own. Where a [metav1.Object] is wanted, to read, pass
// [Object.GetObjectMeta]. metadata.managedFields are not part of it.
type Object struct {
	kind metav1.TypeMeta
	meta header
	// data is the JSON, as pack has left it.
	data []byte
	pack packing
}

// header is the metadata that is kept decoded: all but annotations, managedFields and the
// selfLink of old.
type header struct {
	metav1.ObjectMeta
	object *Object
}

// GetAnnotations implements [metav1.Object].
func (h *header) GetAnnotations() map[string]string { return h.object.GetAnnotations() }

// errUndecodable is in the chain of the error for an answer that is not what was asked
// for: to ask again soon would not help.
var errUndecodable = errors.New("the API server's answer cannot be decoded")

// essentials are what is decoded of an object's metadata when it comes.
type essentials struct {
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	ResourceVersion   string                  `json:"resourceVersion"`
	Generation        int64                   `json:"generation"`
	CreationTimestamp metav1.Time             `json:"creationTimestamp"`
	DeletionTimestamp *metav1.Time            `json:"deletionTimestamp"`
	DeletionGrace     *int64                  `json:"deletionGracePeriodSeconds"`
	Labels            map[string]string       `json:"labels"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
	Finalizers        []string                `json:"finalizers"`
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]: of the object only what is
// kept decoded is; the rest is copied. As always, data must be valid JSON.
func (o *Object) UnmarshalJSON(data []byte) error {
	if at := skipSpace(data, 0); at == len(data) || data[at] != '{' {
		return fmt.Errorf("%w: not a JSON object", errUndecodable)
	}
	own := without(data, "metadata", "managedFields")
	var m essentials
	var kind metav1.TypeMeta
	for _, field := range []struct {
		into any
		path string
	}{{&m, "metadata"}, {&kind.Kind, "kind"}, {&kind.APIVersion, "apiVersion"}} {
		value, ok := valueAt(own, field.path)
		if !ok {
			continue
		}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(value, field.into); err != nil {
			name, _ := valueAt(own, "metadata", "name")
			namespace, _ := valueAt(own, "metadata", "namespace")
			return fmt.Errorf("%w: %s of the object with the name %.300s in namespace %.300s: %w", errUndecodable, field.path, name, namespace, err)
		}
	}
	*o = Object{data: own, kind: kind}
	o.meta = header{object: o, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Generation: m.Generation, CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp, DeletionGracePeriodSeconds: m.DeletionGrace,
		Labels: m.Labels, OwnerReferences: m.OwnerReferences, Finalizers: m.Finalizers,
	}}
	return nil
}

// MarshalJSON implements [encoding/json.Marshaler]: the JSON is that which the API
// server has sent, without managedFields. It is the caller's own.
func (o *Object) MarshalJSON() ([]byte, error) {
	data, err := o.json()
	if o.pack.form != compressed {
		data = bytes.Clone(data)
	}
	return data, err
}

// json is the JSON, which may be the very one that the cache keeps.
func (o *Object) json() ([]byte, error) { return o.pack.unpack(o.data) }

// Decode returns the whole object. It is the caller's own and may be changed. An
// error would mean that the memory of the process is damaged.
func (o *Object) Decode() (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := o.DecodeInto(&u.Object); err != nil {
		return nil, err
	}
	u.SetResourceVersion(o.meta.ResourceVersion) // a deletion that was missed is told at another
	return u, nil
}

// DecodeInto decodes the object into a pointer to the Go type of its kind, for
// instance into an *appsv1.Deployment. As with [encoding/json.Unmarshal] the value should
// be zero: what the object does not have stays as it is. The error is that the object
// does not fit. An object of which a handler is told that it is gone, and whose deletion the
// watch has missed, has its last resourceVersion in it, where [Object.GetResourceVersion]
// has that of the list that lacked it.
func (o *Object) DecodeInto(into any) error {
	data, err := o.json()
	if err != nil {
		return fmt.Errorf("%s %s: %w", o.kind.Kind, o.meta.Name, err)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", o.kind.Kind, o.meta.Name, err)
	}
	return nil
}

// GetAnnotations decodes metadata.annotations: they can be as large as the rest of
// the object, and are seldom asked for. The map is the caller's own, nil if there are none.
func (o *Object) GetAnnotations() map[string]string {
	data, err := o.json()
	if err != nil {
		return nil
	}
	var annotations map[string]string
	if value, ok := valueAt(data, "metadata", "annotations"); ok {
		_ = kjson.UnmarshalCaseSensitivePreserveInts(value, &annotations) // an API server sends nothing but strings
	}
	return annotations
}

// GetObjectMeta implements [metav1.ObjectMetaAccessor], so that client-go knows an
// Object for one. The setters of what it returns must not be called.
func (o *Object) GetObjectMeta() metav1.Object { return &o.meta }

// GetObjectKind implements [runtime.Object]. The setter of what it returns must not be
// called.
func (o *Object) GetObjectKind() schema.ObjectKind { return &o.kind }

// DeepCopyObject implements [runtime.Object]. The copy shares what does not change.
func (o *Object) DeepCopyObject() runtime.Object {
	c := &Object{kind: o.kind, data: o.data, pack: o.pack}
	c.meta = header{object: c, ObjectMeta: *o.meta.DeepCopy()}
	return c
}

// GroupVersionKind returns the kind of the object.
func (o *Object) GroupVersionKind() schema.GroupVersionKind { return o.kind.GroupVersionKind() }

// GetName returns metadata.name.
func (o *Object) GetName() string { return o.meta.Name }

// GetNamespace returns metadata.namespace, "" for an object without.
func (o *Object) GetNamespace() string { return o.meta.Namespace }

// GetUID returns metadata.uid.
func (o *Object) GetUID() types.UID { return o.meta.UID }

// GetResourceVersion returns metadata.resourceVersion.
func (o *Object) GetResourceVersion() string { return o.meta.ResourceVersion }

// GetGeneration returns metadata.generation, 0 for a type without.
func (o *Object) GetGeneration() int64 { return o.meta.Generation }

// GetCreationTimestamp returns metadata.creationTimestamp.
func (o *Object) GetCreationTimestamp() time.Time { return o.meta.CreationTimestamp.Time }

// GetDeletionTimestamp returns metadata.deletionTimestamp, nil unless the object is
// being deleted.
func (o *Object) GetDeletionTimestamp() *metav1.Time { return o.meta.DeletionTimestamp }

// GetLabels returns metadata.labels.
func (o *Object) GetLabels() map[string]string { return o.meta.Labels }

// GetFinalizers returns metadata.finalizers.
func (o *Object) GetFinalizers() []string { return o.meta.Finalizers }

// GetOwnerReferences returns metadata.ownerReferences.
func (o *Object) GetOwnerReferences() []metav1.OwnerReference { return o.meta.OwnerReferences }

// Controller returns the owner reference with controller=true, nil if there is none.
func (o *Object) Controller() *metav1.OwnerReference { return metav1.GetControllerOfNoCopy(&o.meta) }

// String returns kind, namespace and name.
func (o *Object) String() string {
	return o.kind.Kind + " " + types.NamespacedName{Namespace: o.meta.Namespace, Name: o.meta.Name}.String()
}

// List is a list of objects, as the API server answers it.
type List struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []*Object `json:"items"`
}

// DeepCopyObject implements [runtime.Object].
func (l *List) DeepCopyObject() runtime.Object {
	c := &List{TypeMeta: l.TypeMeta, ListMeta: *l.ListMeta.DeepCopy(), Items: make([]*Object, len(l.Items))}
	for i, item := range l.Items {
		c.Items[i] = item.DeepCopyObject().(*Object) //nolint:forcetypeassert // it is one
	}
	return c
}
