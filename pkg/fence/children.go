// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// children judges writes to what is attached to the objects of a type: whoever holds the bucket of
// the owner may write it. An update is judged by the owner before and by the owner after it.
func children(o Options, t Type) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	refused := o.judged(t.Attachments)
	for _, a := range t.Attachments {
		if o.isFamily(a) {
			refused = append(refused, fmt.Sprintf("(!%s || %s)", of(a), asAttachment(o.owners(a))))
		}
	}
	policy := newPolicy(o.meta("attachments", lease.FamilyLabel(t.Resource.String())), policySpec{
		param: true, resource: t.Attachments,
		refused: append(refused, o.refusedBy(t.Resource,
			fmt.Sprintf("[oldObject, object].exists(o, o != null && (%s).exists(k,\n%s))", ownersIn(t.Resource), inBucket(o.leaseOf(t.Resource))))...),
		message: notHolder,
	})
	return policy, newBinding(policy, shardsOf(o, t.Resource, t.Attachments...))
}

// ownersIn are UID, namespace and name of the objects of a family that object o belongs to: a list. A Lease
// that does not tell the kind takes every owner of the API group for its own.
func ownersIn(family schema.GroupResource) string {
	kind := annotation(lease.AnnotationKind)
	return fmt.Sprintf("(has(o.metadata.ownerReferences) ? o.metadata.ownerReferences.filter(r, has(r.controller) && r.controller && %s && %s in ['', string(r.kind)]).map(r,\n"+
		"[string(r.uid), string(has(o.metadata.namespace) && %s != '%s' ? o.metadata.namespace : ''), string(r.name)]) : []) +\n"+
		"(%s ? [string(o.metadata.annotations['%s']).split('/')].map(m, [m[1], m[2], m[3]]) : [])",
		toGroup(family.Group), kind, annotation(lease.AnnotationScope), lease.ScopeCluster, marksOwner(family), AnnotationOwner)
}
