// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"strings"
	"testing"
	"time"
)

// Roles of all kinds come and go by a reload; those that stay as they are nobody touches.
func TestReloadOfRolesWithoutAType(t *testing.T) {
	r := newReloading(t, rolesFile("none", cronRole, execRole))
	r.check("")
	r.becomes(rolesFile("none", cronRole, execRole, leadRole))
	r.check("", "+leader")
	if roles := r.local.options.Roles(); len(roles) != 3 {
		t.Errorf("the endpoint knows %v, want three roles", roles)
	}
	r.becomes(rolesFile("none", cronRole, strings.Replace(execRole, "[importer]", "[importer, -v]", 1), leadRole))
	r.check("", "+leader", "-importer +importer")
	r.becomes(strings.Replace(rolesFile("none", cronRole, leadRole), "spec:\n", "spec:\n  workers: 9\n", 1))
	r.check("", "+leader", "-importer +importer", "-importer")
	if r.types != 0 {
		t.Errorf("the fence is told of %d types, want none", r.types)
	}
}

// A role may become one of another kind: what it was ends, and what it is begins.
func TestReloadThatChangesTheKindOfARole(t *testing.T) {
	r := newReloading(t, fileOf("leadership: {address: none}", a1))
	r.becomes(strings.Replace(rolesFile("none", strings.Replace(leadRole, "leader,", "alphas,", 1)), "  http: {address: \"127.0.0.1:0\"}\n", "", 1))
	r.check("", "-alphas +alphas")
}

// The local endpoint cannot change, and what cannot be had refuses the file.
func TestReloadRefusesWhatTheLocalEndpointCannotDo(t *testing.T) {
	address := takenAddress(t)
	r := newReloading(t, strings.Replace(rolesFile("", execRole), "  roles:", "  leadership: {}\n  roles:", 1))
	r.force.Leadership.Address = address // as if it were the default
	r.local.config.Address = address
	r.becomes(rolesFile("127.0.0.1:1", execRole, leadRole))
	r.check("spec.leadership: cannot change while a replica runs")

	r.force.Leadership.Address = "127.0.0.1:4040"
	r.becomes(strings.Replace(rolesFile("", execRole, leadRole), "  roles:", "  leadership: {}\n  roles:", 1))
	r.check("spec.leadership.address: ")
	if roles := r.local.options.Roles(); len(roles) != 1 {
		t.Errorf("the endpoint knows %v, want the role that is in force", roles)
	}
	r.local.config.Address = "127.0.0.1:0"
	r.refused.again = time.Now().Add(-time.Second)
	r.look(t.Context())
	r.check("", "+leader")
	if err := r.local.endpoint.Run(cancelled(t)); err != nil { // closes its listener
		t.Error(err)
	}
}
