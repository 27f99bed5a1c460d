// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package decorator

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (d *Document) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.APIVersion != APIVersion {
		errs = append(errs, field.NotSupported(path.Child("apiVersion"), d.APIVersion, []string{APIVersion}))
	}
	if d.Kind != Kind {
		errs = append(errs, field.NotSupported(path.Child("kind"), d.Kind, []string{Kind}))
	}
	errs = append(errs, d.validateName(path.Child("metadata", "name"))...)

	spec := path.Child("spec")
	errs = append(errs, d.Spec.validateResources(spec.Child("resources"))...)
	errs = append(errs, d.Spec.validateAttachments(spec.Child("attachments"))...)
	errs = append(errs, d.Spec.Hooks.validate(spec.Child("hooks"))...)
	if seconds := d.Spec.ResyncPeriodSeconds; seconds != nil && *seconds < 1 {
		errs = append(errs, field.Invalid(spec.Child("resyncPeriodSeconds"), *seconds,
			"use 1 or more, or leave it out for no resync"))
	}
	return errs
}

func (d *Document) validateName(path *field.Path) field.ErrorList {
	name := d.Name()
	if name == "" {
		return field.ErrorList{field.Required(path, "name the DecoratorController: its attachments are marked with the name")}
	}
	var errs field.ErrorList
	for _, reason := range validation.IsDNS1123Subdomain(name) {
		errs = append(errs, field.Invalid(path, name, reason))
	}
	if d.Spec.Hooks.Finalize == nil {
		return errs
	}
	for _, reason := range validation.IsQualifiedName(finalizerOf(name)) {
		errs = append(errs, field.Invalid(path, name,
			fmt.Sprintf("with a finalize hook, %s must be a valid finalizer: %s", finalizerOf(name), reason)))
	}
	return errs
}

func (s *Spec) validateResources(path *field.Path) field.ErrorList {
	if len(s.Resources) == 0 {
		return field.ErrorList{field.Required(path, "name at least one type of object to decorate")}
	}
	var errs field.ErrorList
	seen := map[schema.GroupResource]bool{}
	for i, rule := range s.Resources {
		at := path.Index(i)
		errs = append(errs, rule.Resource.validate(at, seen)...)
		errs = append(errs, validateSelector(rule.LabelSelector, at.Child("labelSelector"))...)
		for _, err := range validateSelector(rule.AnnotationSelector.asLabelSelector(), at.Child("annotationSelector")) {
			err.Field = strings.Replace(err.Field, ".matchLabels", ".matchAnnotations", 1)
			errs = append(errs, err)
		}
	}
	return errs
}

func validateSelector(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, path)
}

func (s *Spec) validateAttachments(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[schema.GroupResource]bool{}
	for i, rule := range s.Attachments {
		at := path.Index(i)
		errs = append(errs, rule.Resource.validate(at, seen)...)

		method := at.Child("updateStrategy", "method")
		switch rule.UpdateStrategy.Method {
		case "", OnDelete, Recreate, InPlace:
		case "RollingRecreate", "RollingInPlace":
			errs = append(errs, field.Invalid(method, rule.UpdateStrategy.Method,
				fmt.Sprintf("a DecoratorController has no rolling updates: use %s", strings.TrimPrefix(string(rule.UpdateStrategy.Method), "Rolling"))))
		default:
			errs = append(errs, field.NotSupported(method, rule.UpdateStrategy.Method, []UpdateMethod{OnDelete, Recreate, InPlace}))
		}
	}
	return errs
}

// validate reports what is wrong with r, and whether its type is in seen already, whatever the version:
// two versions of one type are the same objects.
func (r Resource) validate(path *field.Path, seen map[schema.GroupResource]bool) field.ErrorList {
	var errs field.ErrorList
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil || gv.Version == "" {
		errs = append(errs, field.Invalid(path.Child("apiVersion"), r.APIVersion,
			"use group/version, or just version for the core group: apps/v1, v1"))
	}
	if strings.Contains(r.Resource, "/") || len(validation.IsDNS1123Subdomain(r.Resource)) > 0 {
		errs = append(errs, field.Invalid(path.Child("resource"), r.Resource,
			"use the lowercase plural name of the type: deployments, not Deployment"))
	}
	if len(errs) > 0 {
		return errs
	}
	resource := r.GVR().GroupResource()
	if seen[resource] {
		dup := field.Duplicate(path.Child("resource"), r.Resource)
		dup.Detail = "one rule for each type: merge the rules of " + resource.String()
		errs = append(errs, dup)
	}
	seen[resource] = true
	return errs
}

func (h *Hooks) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if h.Sync == nil {
		errs = append(errs, field.Required(path.Child("sync"), "set the hook that decides what the objects should have"))
	} else {
		errs = append(errs, h.Sync.Validate(path.Child("sync"))...)
	}
	if h.Finalize != nil {
		errs = append(errs, h.Finalize.Validate(path.Child("finalize"))...)
	}
	return errs
}
