// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// objects judges writes to the objects of a type: whoever holds the bucket of the object may write it.
func objects(o Options, t Type) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	refused := o.judged([]schema.GroupResource{t.Resource})
	if owners := o.owners(t.Resource); len(owners) > 0 {
		refused = append(refused, "!"+asAttachment(owners))
	}
	object := fmt.Sprintf("[string(has(o.metadata.uid) ? o.metadata.uid : ''), string(%s ? request.namespace : ''),\n"+
		"string(has(o.metadata.name) && o.metadata.name != '' ? o.metadata.name : request.name)]",
		namespaced)
	policy := newPolicy(o.meta("objects", lease.FamilyLabel(t.Resource.String())), policySpec{
		param: true, resource: []schema.GroupResource{t.Resource},
		refused: append(refused, o.refusedBy(t.Resource,
			let("o", "oldObject != null ? oldObject : object", let("k", object, inBucket(o.leaseOf(t.Resource)))))...),
		message: notHolder,
	})
	return policy, newBinding(policy, shardsOf(o, t.Resource, t.Resource))
}

// namespaced is whether the Lease's objects are in namespaces, and the request names one. That of a
// Namespace itself names one, too.
var namespaced = fmt.Sprintf("has(request.namespace) && %s != '%s'", annotation(lease.AnnotationScope), lease.ScopeCluster)

// leaseOf is the name of the Lease of a family in one piece. Those of buckets begin so.
func (o Options) leaseOf(family schema.GroupResource) string {
	return lease.ShardLeaseName(o.Group, family.String())
}

// refusedBy are when a Lease refuses a write: it is a Lease of the family, in force, the writer does not
// hold it, and what is written is in its bucket. To nobody's token, everything is.
func (o Options) refusedBy(family schema.GroupResource, inBucket string) []string {
	return []string{
		fmt.Sprintf("params.metadata.name.matches('^%s([.](0|[1-9][0-9]{0,2})-of-([2-9]|[1-9][0-9]{1,2}))?$')", quoted(o.leaseOf(family))),
		"(!has(params.metadata.annotations) || " + inForce("params.metadata.annotations") + ")",
		"!(" + podBound + " && " + holder + ".startsWith(" + podName + " + '_' + " + podUID + " + '_'))",
		"(!" + podBound + " || " + inBucket + ")",
	}
}

// annotation is that of the Lease, empty if it has none: a text.
func annotation(name string) string {
	return fmt.Sprintf("(has(params.metadata.annotations) && '%[1]s' in params.metadata.annotations ? params.metadata.annotations['%[1]s'] : '')", name)
}

// holder is who holds the Lease, empty if nobody does: a text. What a copy of a Lease says of a session is
// void; and a Lease that is closed to a session, which is over, still names that for a moment.
var holder = fmt.Sprintf("((%[1]s == params.metadata.uid || %[2]s != %[4]s) && %[3]s != %[4]s ? %[4]s : '')",
	annotation(lease.AnnotationClaimed), annotation(lease.AnnotationSession), annotation(lease.AnnotationClosed), holderOf("params"))

// notHolder says why a write was refused, and what to do.
var notHolder = what + "(" + podBound + " ?\n" +
	"' by Pod ' + " + podName + " + ' is refused: Lease ' + params.metadata.name + ' is held by ' + (" + holder + " == '' ? 'nobody' : " + holder + ") +\n" +
	"'. Whoever holds it does this work; one that has got it just now tries again by itself' :\n' is refused: ' + " + noPod + ")"

// noPod says what is wrong with a token that is bound to no Pod.
const noPod = "'the token of ' + request.userInfo.username + ' is bound to no Pod, so nobody can tell which replica it is: " +
	"use the token that the kubelet mounts into a Pod, or another account for what no replica does'"
