// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// request is what a hook gets: metacontroller's DecoratorController request, version v1.
type request struct {
	Controller map[string]any `json:"controller"`
	Object     map[string]any `json:"object"`
	// Attachments by type, then by name. Every declared type is there, though empty.
	Attachments objectsByType `json:"attachments"`
	// Related is empty: it belongs to the customize hook.
	Related    objectsByType `json:"related"`
	Finalizing bool          `json:"finalizing"`
}

// objectsByType maps Kind.apiVersion to relative name to object.
type objectsByType map[string]map[string]map[string]any

func (c *Controller) request(parent *unstructured.Unstructured, observed []*attachment, finalizing bool) *request {
	attachments := objectsByType{}
	for _, t := range c.attachments {
		attachments[t.key()] = map[string]map[string]any{}
	}
	for _, a := range observed {
		attachments[a.typ.key()][a.relativeName(parent)] = a.observed.Object
	}
	return &request{
		Controller:  c.document.written,
		Object:      parent.Object,
		Attachments: attachments,
		Related:     objectsByType{},
		Finalizing:  finalizing,
	}
}

// key is the type's name in a request: Kind.version, or Kind.group/version.
func (t *attachmentType) key() string {
	kind := t.kind()
	return kind.Kind + "." + kind.GroupVersion().String()
}

// kind is known, for Synced was true when the sync began, and a type that was served keeps its kind.
func (t *attachmentType) kind() schema.GroupVersionKind {
	kind, _ := t.cache.Kind()
	return kind
}

// relativeName is an attachment's name as seen from its parent: the namespace is part of it only if the
// parent has none and the attachment has one.
func (a *attachment) relativeName(parent *unstructured.Unstructured) string {
	if parent.GetNamespace() == "" && a.namespace != "" {
		return a.namespace + "/" + a.name
	}
	return a.name
}
