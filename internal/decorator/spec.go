// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/hook"
)

// What a document that Parse accepts says of itself.
const (
	APIVersion = "metacontroller.k8s.io/v1alpha1"
	Kind       = "DecoratorController"
)

// Document is one DecoratorController, as one writes it for metacontroller.
// Parse is the way to get one.
type Document struct {
	metav1.TypeMeta `json:",inline"`

	// Metadata may hold whatever kubectl leaves in it; only the name is used.
	Metadata metav1.ObjectMeta `json:"metadata"`

	Spec Spec `json:"spec"`

	// Status is accepted, so that a document read back from a cluster can be used, and ignored.
	Status map[string]any `json:"status,omitempty"`

	// written is the whole document as it was written: hooks get it as "controller".
	written map[string]any
}

// Name of the DecoratorController. It marks what the decorator owns: its attachments' annotation and
// its parents' finalizer. Two documents with one name would take each other's attachments.
func (d *Document) Name() string { return d.Metadata.Name }

// Spec says which objects are decorated, with what, and who decides.
type Spec struct {
	// Resources are the types of the parents, one rule for each type.
	Resources []ResourceRule `json:"resources"`

	// Attachments are the types of what hooks may attach to a parent, one rule for each type.
	Attachments []AttachmentRule `json:"attachments,omitempty"`

	// Hooks decide. The sync hook is required.
	Hooks Hooks `json:"hooks"`

	// ResyncPeriodSeconds is how often each parent is synced though nothing has changed, in seconds;
	// nil means never.
	ResyncPeriodSeconds *int32 `json:"resyncPeriodSeconds,omitempty"`
}

// ResyncPeriod is ResyncPeriodSeconds as a duration; 0 means no resync.
func (s *Spec) ResyncPeriod() time.Duration {
	if s.ResyncPeriodSeconds == nil {
		return 0
	}
	return time.Duration(*s.ResyncPeriodSeconds) * time.Second
}

// Resource names a resource type.
type Resource struct {
	// APIVersion is group/version, or just version for the core group.
	APIVersion string `json:"apiVersion"`

	// Resource is the lowercase plural name.
	Resource string `json:"resource"`
}

// GVR is the resource type in the form that clients and informers want.
func (r Resource) GVR() schema.GroupVersionResource {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return schema.GroupVersionResource{} // Parse lets none of these through.
	}
	return gv.WithResource(r.Resource)
}

// ResourceRule says which objects of one type are parents: those that both selectors select.
type ResourceRule struct {
	Resource `json:",inline"`

	// LabelSelector selects by labels; nil selects all.
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// AnnotationSelector selects by annotations; nil selects all.
	AnnotationSelector *AnnotationSelector `json:"annotationSelector,omitempty"`

	// IgnoreStatusChanges leaves out syncs for changes that show neither in metadata.generation nor in
	// labels or annotations. See Controller.Concerns.
	IgnoreStatusChanges bool `json:"ignoreStatusChanges,omitempty"`
}

// AnnotationSelector selects by annotations, which must look like labels to be selected by.
type AnnotationSelector struct {
	MatchAnnotations map[string]string                 `json:"matchAnnotations,omitempty"`
	MatchExpressions []metav1.LabelSelectorRequirement `json:"matchExpressions,omitempty"`
}

func (s *AnnotationSelector) asLabelSelector() *metav1.LabelSelector {
	if s == nil {
		return nil
	}
	return &metav1.LabelSelector{MatchLabels: s.MatchAnnotations, MatchExpressions: s.MatchExpressions}
}

// AttachmentRule is a type that hooks may attach, and what to do with attachments of this type that
// differ from what the hook wants.
type AttachmentRule struct {
	Resource `json:",inline"`

	UpdateStrategy UpdateStrategy `json:"updateStrategy,omitzero"`
}

// UpdateStrategy of an attachment.
type UpdateStrategy struct {
	// Method defaults to OnDelete.
	Method UpdateMethod `json:"method,omitempty"`
}

// UpdateMethod is what to do with an attachment that differs from what the hook wants.
type UpdateMethod string

// The update methods of a DecoratorController. (The rolling ones are CompositeController's.)
const (
	// OnDelete leaves it alone, until someone deletes it.
	OnDelete UpdateMethod = "OnDelete"
	// Recreate deletes it, and creates it anew once it is gone.
	Recreate UpdateMethod = "Recreate"
	// InPlace updates it.
	InPlace UpdateMethod = "InPlace"
)

// Hooks of a DecoratorController.
type Hooks struct {
	// Sync decides what a parent should have. Required.
	Sync *hook.Config `json:"sync,omitempty"`

	// Finalize is called instead of Sync for a parent that is being deleted or no longer selected.
	// While it is set, parents carry a finalizer.
	Finalize *hook.Config `json:"finalize,omitempty"`
}
