// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Rule is what a replica has to be allowed for one purpose.
type Rule struct {
	// Resource and Subresource are what it is about; the latter is empty for the
	// objects themselves.
	Resource    schema.GroupResource
	Subresource string

	// Verbs are those of Kubernetes, in the order in which its documentation has
	// them; at least one.
	Verbs []string

	// InGroup confines the rule to the group's own namespace. The others are for all
	// namespaces, and for types that have none.
	InGroup bool

	// InPod marks what is of use only to replicas that run in Pods.
	InPod bool

	// For says what the verbs are used for. It goes on from "to".
	For string

	// Without says what is lost without the verbs. It is empty if nothing works
	// without: then a replica does not start.
	Without string
}

// Optional tells whether replicas can do without.
func (r Rule) Optional() bool { return r.Without != "" }

// Target is what the verbs apply to, as RBAC writes it: "widgets/status".
func (r Rule) Target() string {
	if r.Subresource == "" {
		return r.Resource.Resource
	}
	return r.Resource.Resource + "/" + r.Subresource
}

// Describe is verbs of the rule for people, where the group is in a namespace:
// "create, delete configmaps in all namespaces".
func (r Rule) Describe(verbs []string, namespace string) string {
	where := "all namespaces"
	if r.InGroup {
		where = "namespace " + namespace
	}
	target := r.Resource.String()
	if r.Subresource != "" {
		target += "/" + r.Subresource
	}
	return strings.Join(verbs, ", ") + " " + target + " in " + where
}
