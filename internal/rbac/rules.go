// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/internal/decorator"
)

// Rules are what the replicas of a configuration have to be allowed, and what they can
// make use of: first in the group's namespace, then the types by API group and name, then
// what else belongs to no namespace.
func Rules(cfg *config.Config) []Rule {
	rules := groupRules(cfg)
	for _, t := range typesOf(cfg) {
		rules = append(rules, t.rules()...)
	}
	return slices.Concat(rules, definitionRules(cfg), reviewRules(cfg))
}

// groupRules are what belongs to the group itself: its Leases, and its Pods.
func groupRules(cfg *config.Config) []Rule {
	rules := []Rule{{
		Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"},
		Verbs:    []string{"get", "list", "watch", "create", "update", "delete"},
		InGroup:  true,
		For:      "hold and hand over shards: these Leases say who is there, and who holds what",
	}}
	rules = append(rules, podRules(cfg)...)
	if cfg.Events {
		rules = append(rules, Rule{
			Resource: schema.GroupResource{Group: "events.k8s.io", Resource: "events"},
			Verbs:    []string{"create", "patch"},
			InGroup:  true,
			For:      "tell what becomes of shards as Events of their Leases",
			Without:  "that is in the log of each replica only",
		})
	}
	return append(rules,
		ofPod(schema.GroupResource{Resource: "pods"}, []string{"get"},
			"find out which workload the replica's own Pod belongs to, and so which version of the program it runs",
			"that is what --revision says, and the Pod is never marked as one to delete first"),
		ofPod(schema.GroupResource{Group: "apps", Resource: "replicasets"}, []string{"get"},
			"read the version of a Deployment's Pods",
			"that is what --revision says"),
		ofPod(schema.GroupResource{Group: "apps", Resource: "controllerrevisions"}, []string{"get"},
			"read the version of the Pods of a StatefulSet or DaemonSet",
			"that is what --revision says"),
		ofPod(schema.GroupResource{Resource: "pods"}, []string{"patch"},
			"mark the replica's own Pod, once newer ones have taken everything from it, as the first that its Deployment deletes",
			"a rolling update may delete Pods that hold shards before those that hold none"),
	)
}

// podRules are for seeing Pods change. A role that asks for the replica's own Pod to be
// Ready is nobody's without.
func podRules(cfg *config.Config) []Rule {
	const (
		ready   = "see whether the replica's own Pod is Ready, which the readiness of a role asks for"
		crashed = "know at once of a replica that has crashed, because the kubelet reports its container as terminated"
	)
	rule := ofPod(schema.GroupResource{Resource: "pods"}, []string{"list", "watch"}, crashed, "the shards of one that crashes stay with it for its LeaseDuration")
	asks := slices.ContainsFunc(cfg.Roles, func(r config.Role) bool { return r.Readiness != nil && r.Readiness.Probe.Pod != nil })
	switch {
	case asks && cfg.PodWatch:
		rule.For, rule.Without = ready+"; and to "+crashed, ""
	case asks:
		rule.For, rule.Without = ready, ""
	case !cfg.PodWatch:
		return nil
	}
	return []Rule{rule}
}

// ofPod is a rule on a replica's own surroundings, without which it works as well.
func ofPod(resource schema.GroupResource, verbs []string, purpose, without string) Rule {
	return Rule{Resource: resource, Verbs: verbs, InGroup: true, InPod: true, For: purpose, Without: without}
}

// definitionRules are for types that may be missing.
func definitionRules(cfg *config.Config) []Rule {
	// A CustomResourceDefinition's group has a dot (ValidateCustomResourceDefinition of
	// k8s.io/apiextensions-apiserver), so all others are built in and never missing.
	custom := slices.ContainsFunc(typesOf(cfg), func(t resourceType) bool { return strings.Contains(t.resource.Group, ".") })
	if !custom {
		return nil
	}
	return []Rule{{
		Resource: schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
		Verbs:    []string{"list", "watch"},
		For:      "notice at once that a type which was missing is served",
		Without:  "a type that is missing is looked for every 2 s",
	}}
}

// reviewRules are for letting only those ask for what is protected who may. Without, a
// replica does its work, and nobody is let in.
func reviewRules(cfg *config.Config) []Rule {
	var protecting []string
	if len(cfg.HTTPProtect) > 0 {
		protecting = append(protecting, "spec.http.authorization")
	}
	if cfg.ServesLeadership() && cfg.Leadership.Authorization {
		protecting = append(protecting, "spec.leadership.authorization")
	}
	if len(protecting) == 0 {
		return nil
	}
	without := "nobody can read what " + strings.Join(protecting, " or ") + " protects"
	return []Rule{{
		Resource: schema.GroupResource{Group: "authentication.k8s.io", Resource: "tokenreviews"},
		Verbs:    []string{"create"},
		For:      "find out whose token comes with a request for what is protected, such as metrics",
		Without:  without,
	}, {
		Resource: schema.GroupResource{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"},
		Verbs:    []string{"create"},
		For:      "find out whether they may read it",
		Without:  without,
	}}
}

// resourceType is a type that the configuration names, and what for.
type resourceType struct {
	resource schema.GroupResource
	// decorated: hooks are asked about its objects. attached: hooks may attach some, and
	// inPlace: have them updated. carries: hooks may attach something to its objects.
	decorated, attached, inPlace, carries bool
}

// typesOf are all types of a configuration, by API group and name.
func typesOf(cfg *config.Config) []resourceType {
	byName := map[schema.GroupResource]*resourceType{}
	named := func(r decorator.Resource) *resourceType {
		resource := r.GVR().GroupResource()
		if byName[resource] == nil {
			byName[resource] = &resourceType{resource: resource}
		}
		return byName[resource]
	}
	for _, role := range cfg.Roles {
		for _, rule := range role.Resources() {
			t := named(rule.Resource)
			t.decorated = true
			t.carries = t.carries || len(role.Attachments()) > 0
		}
		for _, rule := range role.Attachments() {
			t := named(rule.Resource)
			t.attached = true
			t.inPlace = t.inPlace || rule.UpdateStrategy.Method == decorator.InPlace
		}
	}
	types := make([]resourceType, 0, len(byName))
	for _, t := range byName {
		types = append(types, *t)
	}
	slices.SortFunc(types, func(a, b resourceType) int {
		return cmp.Or(cmp.Compare(a.resource.Group, b.resource.Group), cmp.Compare(a.resource.Resource, b.resource.Resource))
	})
	return types
}

// rules are what the replicas do with objects of the type. Hooks may answer at any time
// with whatever they may answer at all, so all of that is required.
func (t resourceType) rules() []Rule {
	rules := []Rule{{Verbs: []string{"list", "watch"}, For: t.seeing()}}
	if t.decorated {
		rules = append(rules,
			Rule{Verbs: []string{"update"}, For: t.updating()},
			Rule{Subresource: "status", Verbs: []string{"update"}, For: "set the status that hooks answer with"})
	}
	if t.attached {
		rules = append(rules, Rule{
			Verbs: []string{"get", "create", "delete"},
			For:   "create what hooks attach, delete it when they no longer want it, and see whose it is if something is in the way",
		})
	} else {
		rules = append(rules, Rule{
			Verbs:   []string{"get"},
			For:     "read an object again after a write that got no answer, before its shard is given away",
			Without: "a shard with such a write is kept for the drainTimeout, a minute at most",
		})
	}
	if t.inPlace && !t.decorated {
		rules = append(rules, Rule{Verbs: []string{"update"}, For: t.updating()})
	}
	if t.carries {
		rules = append(rules, Rule{
			Subresource: "finalizers", Verbs: []string{"update"},
			For:     "attach with blockOwnerDeletion where the API server has the admission plugin OwnerReferencesPermissionEnforcement",
			Without: "nothing can be attached to these objects there; without that plugin it makes no difference",
		})
	}
	for i := range rules {
		rules[i].Resource = t.resource
	}
	return rules
}

// seeing says what the cache of the type is for.
func (t resourceType) seeing() string {
	switch {
	case !t.attached:
		return "know the objects that are decorated"
	case !t.decorated:
		return "know what is attached"
	}
	return "know the objects that are decorated, and what is attached"
}

// updating says what changes on the objects themselves.
func (t resourceType) updating() string {
	decorating := "set the labels, annotations and finalizers that hooks ask for"
	switch changing := "change attachments in place (updateStrategy InPlace)"; {
	case !t.inPlace:
		return decorating
	case !t.decorated:
		return changing
	default:
		return decorating + ", and " + changing
	}
}
