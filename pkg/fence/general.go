// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/lease"
)

// General returns what all groups of a cluster share: install it first and remove it last.
//
// The sentinel matches no request. It keeps the API server's informer for Leases going: that is ended
// for good when, for a moment, no binding uses the kind any more (kubernetes#130887), and then every
// later policy with that kind of parameter refuses all it matches, until the API server is restarted.
//
// The guard keeps shard Leases and layout records from being deleted or unlabelled: a Lease that is not
// found judges nothing, so the fence would be open where it was (R11).
func General() *Fence {
	f := &Fence{}
	f.add(sentinel())
	f.add(guard())
	return f
}

func generalMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:   name + ".fence.shardctl.dev",
		Labels: map[string]string{LabelFence: LabelFenceGeneral},
	}
}

func sentinel() (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	policy := newPolicy(generalMeta("sentinel"), policySpec{
		param:    true,
		resource: []schema.GroupResource{{Group: "fence.shardctl.dev", Resource: "nothing"}},
		refused:  []string{"false"},
		message:  "'nothing is refused here: this policy keeps the informer for Leases going'",
	})
	return policy, newBinding(policy, &admissionregistrationv1.ParamRef{
		Namespace: metav1.NamespaceSystem, Name: "sentinel.fence.shardctl.dev", // need not be there
		ParameterNotFoundAction: &allowIfNotFound,
	})
}

// guarded are the labels by which the policies find the Leases.
var guarded = []string{labelGroup, lease.LabelKind, lease.LabelFamily}

// controlPlane deletes what is in a namespace that goes, and what has lost its owners. Where its controllers
// have no service accounts of their own, they are one user.
var controlPlane = []string{
	"system:serviceaccount:kube-system:namespace-controller",
	"system:serviceaccount:kube-system:generic-garbage-collector",
	"system:kube-controller-manager",
}

// undeletable is whether a Lease has to stay: it is the layout record, or it is in force, and is held, or it is
// not a replica that wants to delete it.
var undeletable = fmt.Sprintf("(!has(oldObject.metadata.annotations) || %s) &&\n"+
	"!(%s == '' && %s && has(oldObject.metadata.labels) && '%[4]s' in oldObject.metadata.labels && oldObject.metadata.labels['%[4]s'] == '%[5]s')",
	inForce("oldObject.metadata.annotations"), holderOf("oldObject"), podBound, lease.LabelKind, lease.KindShard)

// relabelled is whether an update takes a label away or changes it; unless a replica puts right what somebody
// did before there was a guard. (It cannot where a family's label is not its name, because that is too long.)
var relabelled = fmt.Sprintf("has(oldObject.metadata.labels) &&\n%s.exists(l, l in oldObject.metadata.labels &&\n"+
	"(!has(object.metadata.labels) || !(l in object.metadata.labels) ||\n"+
	"object.metadata.labels[l] != oldObject.metadata.labels[l] && !(%s && %s)))",
	list(guarded...), podBound, rightful)

// rightful is whether the labels of a Lease are what its name says.
var rightful = fmt.Sprintf("['%[1]s', '%[2]s'].all(m, m in object.metadata.labels) &&\n"+
	"(object.metadata.labels['%[2]s'] == '%[3]s' ? object.metadata.name == object.metadata.labels['%[1]s'] + '.layout.shardctl.dev' :\n"+
	"object.metadata.labels['%[2]s'] == '%[4]s' && '%[5]s' in object.metadata.labels &&\n"+
	"(object.metadata.name + '.').startsWith(object.metadata.labels['%[1]s'] + '.' + object.metadata.labels['%[5]s'] + '.'))",
	labelGroup, lease.LabelKind, lease.KindLayout, lease.KindShard, lease.LabelFamily)

func guard() (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	policy := newPolicy(generalMeta("guard"), policySpec{
		resource:   []schema.GroupResource{leases},
		operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update, admissionregistrationv1.Delete},
		objects: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: lease.LabelKind, Operator: metav1.LabelSelectorOpIn, Values: []string{lease.KindShard, lease.KindLayout}},
		}},
		refused: []string{
			"!(request.userInfo.username in " + list(controlPlane...) + ")",
			"(request.operation == 'DELETE' ? " + undeletable + " : " + relabelled + ")",
		},
		message: "'Lease ' + oldObject.metadata.name + (request.operation == 'UPDATE' ?\n" +
			"' cannot get other labels: the fence finds it by " + strings.Join(guarded, ", ") + "' :\n" +
			"' cannot be deleted, for without it any replica could write: the replicas delete it when it is sealed or nobody holds it; " +
			"to remove a whole group, remove its fence first, and then the guard')",
	})
	return policy, newBinding(policy, nil)
}
