// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fence

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// unbound refuses what comes by a token that is bound to no Pod: nobody can tell which replica it is, whether
// there are Leases or not.
func unbound(o Options) (*admissionregistrationv1.ValidatingAdmissionPolicy, *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	policy := newPolicy(o.meta("unbound"), policySpec{
		resource: o.written(),
		refused:  append(o.judged(o.written()), "!"+podBound),
		message:  what + "' is refused: ' + " + noPod,
	})
	return policy, newBinding(policy, nil)
}
