// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// unowned refuses writes to attachments that name no owner, neither before nor after: no Lease could
// judge them. Of a type that the group reconciles itself, the Leases judge what has no owner, too.
func unowned(o Options) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	attachments := o.attachmentsOnly()
	rules := make([]string, len(attachments))
	for i, a := range attachments {
		rules[i] = fmt.Sprintf("%s && !%s", of(a), namesOwner(o.owners(a)))
	}
	policy := newPolicy(o.meta("unowned"), policySpec{
		resource: attachments,
		refused:  append(o.judged(attachments), "("+strings.Join(rules, " ||\n")+")"),
		message: what + "' is refused: it names no owner among the objects that the group reconciles, so nobody can tell whose it is: " +
			"give it a controller owner reference, or the annotation " + AnnotationOwner + "'",
	})
	return policy, newBinding(policy, nil)
}

// attachmentsOnly are the types that are attached and not reconciled.
func (o Options) attachmentsOnly() []schema.GroupResource {
	return slices.DeleteFunc(o.attachments(), o.isFamily)
}
