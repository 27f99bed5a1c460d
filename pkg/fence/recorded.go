// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// recorded refuses writes for a family that the group's layout record does not know: there was never
// a term of it, and there may be no Lease that could say so.
func recorded(o Options) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	resources := o.written()
	rules := make([]string, len(resources))
	for i, r := range resources {
		rules[i] = of(r)
		for _, family := range o.judges(r) {
			rules[i] += fmt.Sprintf(" && !r.contains('\"%[1]s\"') && !r.contains('\"%[1]s.0-of-')", family)
		}
	}
	policy := newPolicy(o.meta("recorded"), policySpec{
		param: true, resource: resources,
		refused: append(o.judged(resources), let("r", annotation(lease.AnnotationLayout), strings.Join(rules, " ||\n"))),
		message: what + "' is refused: the layout record ' + params.metadata.name + ' knows no shard that it belongs to: nobody has held one yet'",
	})
	return policy, newBinding(policy, &admissionregistrationv1.ParamRef{
		Namespace: o.Namespace, Name: lease.LayoutLeaseName(o.Group), ParameterNotFoundAction: &allowIfNotFound,
	})
}

// judges are the families by which a write to a type may be judged: its owners, and itself.
func (o Options) judges(r schema.GroupResource) []schema.GroupResource {
	all := o.owners(r)
	if o.isFamily(r) {
		all = append(all, r)
	}
	return all
}
