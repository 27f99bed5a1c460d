// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

const labelGroup = lease.LabelGroup

// What the fields of all policies point to. Nobody changes them.
var (
	failClosed      = admissionregistrationv1.Fail
	equivalent      = admissionregistrationv1.Equivalent
	allScopes       = admissionregistrationv1.AllScopes
	allowIfNotFound = admissionregistrationv1.AllowAction
	forbidden       = metav1.StatusReasonForbidden

	leaseKind = admissionregistrationv1.ParamKind{APIVersion: "coordination.k8s.io/v1", Kind: "Lease"}

	leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	pods   = schema.GroupResource{Resource: "pods"}

	writes = []admissionregistrationv1.OperationType{
		admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete,
	}
)

// policySpec is what policies differ in.
type policySpec struct {
	param      bool // a Lease is the parameter
	resource   []schema.GroupResource
	operations []admissionregistrationv1.OperationType // default: writes, of subresources too
	objects    metav1.LabelSelector
	// refused are what holds, all of it, for requests that are refused. They are evaluated in this order,
	// up to the first that does not hold.
	refused []string
	// message says why, an expression.
	message string
}

// newPolicy writes out what the API server would fill in, so that what it stores is what was sent:
// that makes [Fence.Digest] comparable.
//
// The verdict is a match condition, and the validation refuses all that it matches. It could be the
// other way round; but the API server evaluates a validation and its message for every parameter, also
// for what is let through, and converts the objects anew each time. This is five times as fast.
func newPolicy(meta metav1.ObjectMeta, s policySpec) *admissionregistrationv1.ValidatingAdmissionPolicy {
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: meta,
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &failClosed,
			MatchConstraints: &admissionregistrationv1.MatchResources{
				MatchPolicy:       &equivalent,
				NamespaceSelector: &metav1.LabelSelector{},
				ObjectSelector:    &s.objects,
			},
			MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "refused", Expression: strings.Join(s.refused, " &&\n")}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: "false", Reason: &forbidden, MessageExpression: "'" + MessagePrefix + "' +\n" + s.message,
			}},
		},
	}
	if s.param {
		policy.Spec.ParamKind = &leaseKind
	}
	for _, r := range s.resource {
		rule := admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: s.operations,
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{r.Group}, APIVersions: []string{"*"}, Resources: []string{r.Resource}, Scope: &allScopes,
			},
		}}
		if s.operations == nil {
			rule.Operations = writes
			rule.Resources = []string{r.Resource, r.Resource + "/*"}
		}
		policy.Spec.MatchConstraints.ResourceRules = append(policy.Spec.MatchConstraints.ResourceRules, rule)
	}
	return policy
}

// newBinding puts a policy into force, under its own name.
func newBinding(policy *admissionregistrationv1.ValidatingAdmissionPolicy, param *admissionregistrationv1.ParamRef) *admissionregistrationv1.ValidatingAdmissionPolicyBinding {
	return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionregistrationv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: *policy.ObjectMeta.DeepCopy(),
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        policy.Name,
			ParamRef:          param,
			ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
}

// shardsOf are all Leases of a family, of whichever layout, as parameters of a policy that matches some types.
//
// If there is none, all is refused (R11). The API server looks for parameters before it asks who writes, so that
// hits everybody: of built-in types, which the whole cluster writes, a group that was never started or whose
// namespace was deleted would stop all writes. With one of those among the types, nothing is judged instead, but
// by [recorded].
func shardsOf(o Options, family schema.GroupResource, types ...schema.GroupResource) *admissionregistrationv1.ParamRef {
	ifNotFound := admissionregistrationv1.DenyAction
	if slices.ContainsFunc(types, builtIn) {
		ifNotFound = admissionregistrationv1.AllowAction
	}
	return &admissionregistrationv1.ParamRef{
		Namespace: o.Namespace,
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
			labelGroup: o.Group, lease.LabelKind: lease.KindShard, lease.LabelFamily: lease.FamilyLabel(family.String()),
		}},
		ParameterNotFoundAction: &ifNotFound,
	}
}

// builtIn tells whether a type is Kubernetes' own: groups of others have a domain.
func builtIn(r schema.GroupResource) bool {
	return !strings.Contains(r.Group, ".") || strings.HasSuffix(r.Group, ".k8s.io")
}
