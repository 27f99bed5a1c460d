// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// packing says how the JSON of an object is kept.
type packing struct {
	form form
	dict *s2.Dict // nil if it was compressed without
}

type form uint8

const (
	asReceived form = iota // it has not been through a packer
	asIs                   // compressed it would not be smaller
	compressed             // in the S2 format
)

// unpack returns the JSON; it may be data itself.
func (p packing) unpack(data []byte) ([]byte, error) {
	if p.form != compressed {
		return data, nil
	}
	var unpacked []byte
	var err error
	if p.dict != nil {
		unpacked, err = p.dict.Decode(nil, data)
	} else {
		unpacked, err = s2.Decode(nil, data)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress an object: %w", err)
	}
	return unpacked, nil
}

// packer makes objects of one type ready for the cache. Objects of a type are much
// alike, so the first of them become a dictionary, which the later ones are
// compressed with: they come out half as large as without.
type packer struct {
	kind      metav1.TypeMeta
	transform func(*unstructured.Unstructured)

	mu     sync.Mutex
	sample []byte            // what the dictionary will be made of; nil once it is
	dict   *s2.Dict          // nil while there are not enough objects
	texts  map[string]string // what many objects have in common, by itself
	lost   sync.Once         // a transform has left something that is no object
}

// maxTexts bounds the texts that objects of a type share.
const maxTexts = 1000

// A dictionary costs its size and a table of 32 KiB, for each type that has enough
// objects for one.
const dictSize = 32 << 10

func newPacker(gvk schema.GroupVersionKind, transform func(*unstructured.Unstructured)) *packer {
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	return &packer{kind: metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}, transform: transform, texts: map[string]string{}}
}

// pack is a [cache.TransformFunc]. It cannot fail: client-go drops an object whose
// transform fails, and nobody would reconcile that object.
func (p *packer) pack(obj any) (any, error) {
	o, ok := obj.(*Object)
	if !ok || o.pack.form != asReceived {
		return obj, nil
	}
	o = p.named(o)
	if p.transform != nil {
		o = p.named(p.transformed(o))
	}
	p.share(o)
	p.compress(o)
	return o, nil
}

// named gives an object its kind: the items of a list of a built-in type come without.
func (p *packer) named(o *Object) *Object {
	if o.kind.Kind == "" {
		o.kind = p.kind
		o.data = withKind(without(without(o.data, "kind"), "apiVersion"), p.kind)
	}
	return o
}

// withKind puts kind and apiVersion in front of the other members of an object, in the
// order in which a watch shows them.
func withKind(data []byte, kind metav1.TypeMeta) []byte {
	begin, rest := bytes.IndexByte(data, '{')+1, byte(',')
	if next := skipSpace(data, begin); next < len(data) && data[next] == '}' {
		rest = ' '
	}
	head := fmt.Appendf(nil, "{%q:%q,%q:%q%c", "kind", kind.Kind, "apiVersion", kind.APIVersion, rest)
	return append(head, data[begin:]...)
}

// transformed is what becomes of an object in the user's hands; the object itself
// if it comes back as something that is none.
func (p *packer) transformed(o *Object) *Object {
	var changed Object
	u, err := o.Decode()
	if err == nil {
		p.transform(u)
		var data []byte
		if data, err = json.Marshal(u.Object); err == nil {
			err = changed.UnmarshalJSON(data)
		}
	}
	if err != nil {
		p.lost.Do(func() {
			klog.Background().Error(err, "An object is cached as it came, because what Options.Transform makes of it is no object; of others of its kind nothing is said", "object", o)
		})
		return o
	}
	return &changed
}

// share makes an object use the texts that others have, too: they are not kept once for
// each.
func (p *packer) share(o *Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o.kind.Kind, o.kind.APIVersion = p.shared(o.kind.Kind), p.shared(o.kind.APIVersion)
	o.meta.Namespace = p.shared(o.meta.Namespace)
	for i, finalizer := range o.meta.Finalizers {
		o.meta.Finalizers[i] = p.shared(finalizer)
	}
	for i, owner := range o.meta.OwnerReferences {
		o.meta.OwnerReferences[i].Kind, o.meta.OwnerReferences[i].APIVersion = p.shared(owner.Kind), p.shared(owner.APIVersion)
	}
	if o.meta.Labels == nil {
		return
	}
	labels := make(map[string]string, len(o.meta.Labels))
	for key, value := range o.meta.Labels {
		labels[p.shared(key)] = value
	}
	o.meta.Labels = labels
}

// shared is the text that is kept for all; p.mu is held.
func (p *packer) shared(text string) string {
	if same, ok := p.texts[text]; ok {
		return same
	}
	if len(p.texts) < maxTexts {
		p.texts[text] = text
	}
	return text
}

// scratch are buffers to compress into: what is kept is of the right size.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (p *packer) compress(o *Object) {
	dict := p.dictionary(o.data)
	buffer := scratch.Get().(*[]byte) //nolint:forcetypeassert // it holds nothing else
	defer scratch.Put(buffer)
	if dict != nil {
		*buffer = dict.Encode((*buffer)[:cap(*buffer)], o.data)
	} else {
		*buffer = s2.Encode((*buffer)[:cap(*buffer)], o.data)
	}
	if len(*buffer) >= len(o.data) {
		o.pack.form = asIs
		return
	}
	o.data, o.pack = bytes.Clone(*buffer), packing{form: compressed, dict: dict}
}

// dictionary returns the dictionary, nil while it is being gathered: data is then
// added to it.
func (p *packer) dictionary(data []byte) *s2.Dict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dict == nil {
		p.sample = append(p.sample, data[:min(len(data), dictSize-len(p.sample))]...)
		if len(p.sample) == dictSize {
			p.dict, p.sample = s2.MakeDict(p.sample, nil), nil
			return nil
		}
	}
	return p.dict
}
