// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// maxAnswerErrors bounds how many faults of one answer an error lists.
	maxAnswerErrors = 5

	// minResync and maxResync keep a hook's resyncAfterSeconds from becoming a busy loop and from
	// overflowing a duration.
	minResync = 10 * time.Millisecond
	maxResync = 365 * 24 * time.Hour
)

// ErrInvalidAnswer is in the chain of the error for an answer that decodes and yet cannot be carried out.
// Nothing of it has been.
var ErrInvalidAnswer = errors.New("invalid answer")

// answer is what a hook says: metacontroller's DecoratorController response, version v1.
type answer struct {
	// Labels and Annotations to set on the parent, or to delete, where the value is null.
	Labels      map[string]*string `json:"labels"`
	Annotations map[string]*string `json:"annotations"`
	// Status replaces the parent's, unless it is null.
	Status map[string]any `json:"status"`
	// Attachments are all that the parent should have.
	Attachments        []map[string]any `json:"attachments"`
	ResyncAfterSeconds float64          `json:"resyncAfterSeconds"`
	// Finalized counts only in the answer of a finalize hook.
	Finalized bool `json:"finalized"`
}

// resyncAfter is when the hook wants to be called again; 0 means that it does not ask for it.
func (a *answer) resyncAfter() time.Duration {
	if !(a.ResyncAfterSeconds > 0) {
		return 0
	}
	after := time.Duration(min(a.ResyncAfterSeconds, maxResync.Seconds()) * float64(time.Second))
	return max(after, minResync)
}

// check validates all of an answer, and returns the attachments it asks for, in its order.
func (c *Controller) check(parent *unstructured.Unstructured, a *answer) ([]*attachment, error) {
	if errs := a.checkSizes(); len(errs) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrInvalidAnswer, errs.ToAggregate())
	}
	var errs field.ErrorList
	errs = append(errs, metavalidation.ValidateLabels(set(a.Labels), field.NewPath("labels"))...)
	errs = append(errs, validation.ValidateAnnotations(set(a.Annotations), field.NewPath("annotations"))...)
	if err := reserved(a.Labels, field.NewPath("labels")); err != nil {
		errs = append(errs, err)
	}
	if err := reserved(a.Annotations, field.NewPath("annotations")); err != nil {
		errs = append(errs, err)
	}

	var desired []*attachment
	seen := map[attachmentKey]bool{}
	for i, object := range a.Attachments {
		path := field.NewPath("attachments").Index(i)
		d, err := c.desire(parent, object, path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[d.key()] {
			errs = append(errs, field.Duplicate(path, d.String()))
		}
		seen[d.key()] = true
		desired = append(desired, d)
	}
	if len(errs) > maxAnswerErrors {
		return nil, fmt.Errorf("%w: %w, and %d more", ErrInvalidAnswer, errs[:maxAnswerErrors].ToAggregate(), len(errs)-maxAnswerErrors)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrInvalidAnswer, errs.ToAggregate())
	}
	return desired, nil
}

// set returns the entries of an answer that set something.
func set(values map[string]*string) map[string]string {
	out := make(map[string]string, len(values))
	for k, v := range values {
		if v != nil {
			out[k] = *v
		}
	}
	return out
}

// desire validates one attachment of an answer and completes it: its namespace, the decorator's mark.
func (c *Controller) desire(parent *unstructured.Unstructured, object map[string]any, path *field.Path) (*attachment, *field.Error) {
	if nestsDeeper(object, maxDepth) {
		return nil, tooDeep(path)
	}
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
	}
	object, _ = canonical(object).(map[string]any)
	strip(object)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object, &head); err != nil {
		return nil, field.Invalid(path, "", err.Error())
	}
	typ := c.attachmentType(schema.FromAPIVersionAndKind(head.APIVersion, head.Kind))
	if typ == nil {
		return nil, field.Invalid(path, shown(head.APIVersion+" "+head.Kind),
			"is of a type that spec.attachments does not have: add the type there, with just this apiVersion")
	}
	metadata := path.Child("metadata")
	if head.Metadata.Name == "" {
		return nil, field.Required(metadata.Child("name"), "name the attachment; a name cannot be generated")
	}
	if reasons := content.IsPathSegmentName(head.Metadata.Name); len(reasons) > 0 {
		return nil, field.Invalid(metadata.Child("name"), shown(head.Metadata.Name), reasons[0])
	}
	namespace, err := namespaceFor(typ, parent, head.Metadata.Namespace, metadata.Child("namespace"))
	if err != nil {
		return nil, err
	}
	if err := checkMetadata(parent, &head.Metadata, metadata); err != nil {
		return nil, err
	}
	annotationsOf(object)[ownerAnnotation] = c.document.Name()
	if err := checkLastApplied(object, path); err != nil {
		return nil, err
	}
	return &attachment{typ: typ, namespace: namespace, name: head.Metadata.Name, desired: object}, nil
}

// checkMetadata refuses what would take an attachment out of our hands.
func checkMetadata(parent *unstructured.Unstructured, metadata *metav1.ObjectMeta, path *field.Path) *field.Error {
	if err := reserved(metadata.Labels, path.Child("labels")); err != nil {
		return err
	}
	if err := reserved(metadata.Annotations, path.Child("annotations")); err != nil {
		return err
	}
	for i, ref := range metadata.OwnerReferences {
		if ref.Controller != nil && *ref.Controller && ref.UID != parent.GetUID() {
			return field.Forbidden(path.Child("ownerReferences").Index(i).Child("controller"),
				fmt.Sprintf("the controller of an attachment is the object that the hook was asked about, not %s: leave the reference out", shown(ref.Kind+" "+ref.Name)))
		}
	}
	return nil
}

func (c *Controller) attachmentType(kind schema.GroupVersionKind) *attachmentType {
	for _, t := range c.attachments {
		if t.kind() == kind {
			return t
		}
	}
	return nil
}

// namespaceFor returns the namespace of an attachment for which the hook has named one, or none. An owner
// reference cannot point from one namespace into another, nor from the cluster into a namespace: the
// garbage collector would delete such an attachment.
func namespaceFor(typ *attachmentType, parent *unstructured.Unstructured, named string, path *field.Path) (string, *field.Error) {
	home := parent.GetNamespace()
	switch {
	case !typ.cache.Namespaced() && home != "":
		return "", field.Forbidden(path, fmt.Sprintf("%s has no namespace, so an object in a namespace cannot own it", typ.gvr.Resource))
	case !typ.cache.Namespaced() && named != "":
		return "", field.Invalid(path, shown(named), fmt.Sprintf("%s has no namespace: leave it out", typ.gvr.Resource))
	case !typ.cache.Namespaced():
		return "", nil
	case home == "" && named == "":
		return "", field.Required(path, "an object without namespace cannot lend its attachments one: name it")
	case home != "" && named != "" && named != home:
		return "", field.Invalid(path, shown(named), fmt.Sprintf("must be the namespace of the object, %s: use that, or leave it out", home))
	case home != "":
		return home, nil
	}
	if reasons := validation.ValidateNamespaceName(named, false); len(reasons) > 0 {
		return "", field.Invalid(path, shown(named), reasons[0])
	}
	return named, nil
}

// canonical returns a deep copy of a JSON value in the one form in which two values can be compared that
// mean the same to the API server: no nulls in objects, and no fraction where there is none (1.0 is 1).
func canonical(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for k, v := range value {
			if v != nil {
				out[k] = canonical(v)
			}
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, v := range value {
			out[i] = canonical(v)
		}
		return out
	case float64:
		// Up to here float64 and int64 hold the same whole numbers.
		if value == math.Trunc(value) && math.Abs(value) <= 1<<53 {
			return int64(value)
		}
		return value
	default:
		return value
	}
}
