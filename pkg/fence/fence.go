// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// MessagePrefix begins the message of every refusal. (The API server puts the names of the policy
// and of its binding before it.)
const MessagePrefix = "shardctl fence: "

// AttachmentManager is the field manager of writes to attachments. It matters where a type is a
// family of its own and also an attachment: whoever updates such an object as an attachment says so
// by this name, and is judged by its owner; any other is judged by the object itself.
const AttachmentManager = "shardctl-attachments"

// Labels of policies and bindings, beside [lease.LabelGroup].
const (
	// LabelNamespace is on all that belongs to a group: the namespace of its Leases.
	LabelNamespace = "shardctl.dev/namespace"
	// LabelFence is on what belongs to no group: its value is LabelFenceGeneral.
	LabelFence = "shardctl.dev/fence"
	// LabelFenceGeneral marks the sentinel and the guard.
	LabelFenceGeneral = "general"
)

// Options say for whom the policies of a group are.
type Options struct {
	// Group is the group's name, a DNS label. Required.
	Group string

	// Namespace is where the group's Leases and its service account are, a DNS label. Required.
	Namespace string

	// ServiceAccount is whose writes are judged. Required. It has to be the group's own: a program
	// beside it with the same account would be refused what it writes to the types of the group.
	ServiceAccount string

	// Types are what the group's members write, at least one. Each resource may be there once.
	Types []Type
}

// Type is a family of shards: a resource type whose objects the group reconciles.
type Type struct {
	// Resource is the type. Its versions do not matter.
	Resource schema.GroupResource

	// Attachments are the types of what is written for an object of the type. They may be types of
	// the group themselves.
	Attachments []schema.GroupResource
}

// Fence is a set of admission policies and their bindings.
type Fence struct {
	Policies []*admissionregistrationv1.ValidatingAdmissionPolicy
	Bindings []*admissionregistrationv1.ValidatingAdmissionPolicyBinding
}

// New returns the policies of a group. They are complete only together with those of [General], and
// do not depend on buckets: what they need to know of those they read from the Leases. The error
// names every option that is wrong.
func New(o Options) (*Fence, error) {
	o, err := o.normal()
	if err != nil {
		return nil, err
	}
	f := &Fence{}
	f.add(recorded(o))
	f.add(unbound(o))
	if len(o.attachmentsOnly()) > 0 {
		f.add(unowned(o))
	}
	for _, t := range o.Types {
		f.add(objects(o, t))
		if len(t.Attachments) > 0 {
			f.add(children(o, t))
		}
	}
	return f, nil
}

func (f *Fence) add(policy *admissionregistrationv1.ValidatingAdmissionPolicy, binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	f.Policies = append(f.Policies, policy)
	f.Bindings = append(f.Bindings, binding)
}

// normal returns the options with everything in the order of names, so that the same types in
// another order make the same policies, or says what is wrong.
func (o Options) normal() (Options, error) {
	var problems []string
	check := func(what, value string, found []string) {
		if len(found) > 0 {
			problems = append(problems, fmt.Sprintf("%s: %q is not allowed: %s", what, value, strings.Join(found, ", ")))
		}
	}
	check("group", o.Group, validation.IsDNS1123Label(o.Group))
	check("namespace", o.Namespace, validation.IsDNS1123Label(o.Namespace))
	check("serviceAccount", o.ServiceAccount, validation.IsDNS1123Subdomain(o.ServiceAccount))
	if len(o.Types) == 0 {
		problems = append(problems, "types: there are none: name at least one that the group writes")
	}
	types := slices.Clone(o.Types)
	seen := map[schema.GroupResource]bool{}
	for i, t := range types {
		at := fmt.Sprintf("types[%d].resource", i)
		check(at, t.Resource.String(), problemsOf(t.Resource))
		if seen[t.Resource] {
			problems = append(problems, fmt.Sprintf("%s: %s is there twice: name it once, with all its attachments", at, t.Resource))
		}
		seen[t.Resource] = true
		for j, a := range t.Attachments {
			check(fmt.Sprintf("types[%d].attachments[%d]", i, j), a.String(), problemsOf(a))
		}
		types[i].Attachments = slices.Compact(slices.SortedFunc(slices.Values(t.Attachments), byName))
	}
	if len(problems) > 0 {
		return o, fmt.Errorf("fence: %s", strings.Join(problems, "; "))
	}
	slices.SortFunc(types, func(a, b Type) int { return byName(a.Resource, b.Resource) })
	o.Types = types
	return o, nil
}

// unjudged is the API group whose policies and bindings the API server does not have judged by policies.
const unjudged = "admissionregistration.k8s.io"

// problemsOf a resource type are what would make the policies something else than is meant: its name
// stands in them.
func problemsOf(r schema.GroupResource) []string {
	problems := validation.IsDNS1035Label(r.Resource)
	if r.Group == unjudged && (strings.HasSuffix(r.Resource, "policies") || strings.HasSuffix(r.Resource, "policybindings")) {
		problems = append(problems, "the API server does not let admission policies judge admission policies: it cannot be fenced")
	}
	if r.Group != "" {
		problems = append(problems, validation.IsDNS1123Subdomain(r.Group)...)
	}
	return problems
}

func byName(a, b schema.GroupResource) int { return cmp.Compare(a.String(), b.String()) }

// account is how the API server calls the service account.
func (o Options) account() string {
	return "system:serviceaccount:" + o.Namespace + ":" + o.ServiceAccount
}

// families are the types themselves.
func (o Options) families() []schema.GroupResource {
	var all []schema.GroupResource
	for _, t := range o.Types {
		all = append(all, t.Resource)
	}
	return all
}

// isFamily tells whether a type is one that the group reconciles.
func (o Options) isFamily(r schema.GroupResource) bool { return slices.Contains(o.families(), r) }

// attachments are the types that are attached to any other, in the order of their names.
func (o Options) attachments() []schema.GroupResource {
	var all []schema.GroupResource
	for _, t := range o.Types {
		all = append(all, t.Attachments...)
	}
	return slices.Compact(slices.SortedFunc(slices.Values(all), byName))
}

// written are all types that the group writes, in the order of their names.
func (o Options) written() []schema.GroupResource {
	return slices.Compact(slices.SortedFunc(slices.Values(append(o.families(), o.attachments()...)), byName))
}

// owners are the families whose objects may have attachments of a type.
func (o Options) owners(r schema.GroupResource) []schema.GroupResource {
	var all []schema.GroupResource
	for _, t := range o.Types {
		if slices.Contains(t.Attachments, r) {
			all = append(all, t.Resource)
		}
	}
	return all
}

// labels of what belongs to a group.
func (o Options) labels() map[string]string {
	return map[string]string{labelGroup: o.Group, LabelNamespace: o.Namespace}
}

// meta of a policy and its binding, which have one name. Cluster-wide there is one group of a name in
// a namespace.
func (o Options) meta(parts ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:   strings.Join(append([]string{o.Group, o.Namespace}, append(parts, "fence.shardctl.dev")...), "."),
		Labels: o.labels(),
	}
}
