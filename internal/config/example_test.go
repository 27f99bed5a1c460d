// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

// The example has a role of each kind that has no type, and one with a readiness.
func TestExampleOfRoles(t *testing.T) {
	cfg, err := Load("../../examples/roles/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, r := range cfg.Roles {
		if r.Schedule != nil {
			kinds["schedule with a webhook"] = kinds["schedule with a webhook"] || r.Schedule.Action.Webhook != nil
			kinds["schedule with a program"] = kinds["schedule with a program"] || r.Schedule.Action.Exec != nil
		}
		kinds["exec"] = kinds["exec"] || r.Exec != nil
		kinds["leadership"] = kinds["leadership"] || r.Lead != nil
		kinds["readiness"] = kinds["readiness"] || r.Readiness != nil
	}
	for kind, there := range kinds {
		if !there {
			t.Errorf("there is no %s", kind)
		}
	}
	if types := TypesOf(cfg); len(types) > 0 || len(kinds) != 5 {
		t.Errorf("it has types %v and kinds %v", types, kinds)
	}
}
