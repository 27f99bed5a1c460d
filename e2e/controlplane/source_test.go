// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import "testing"

// There are two ways because neither works everywhere. Here, where both do, they have to agree.
func TestServersModuleIsFoundInBothWays(t *testing.T) {
	recorded, err := recordedModule()
	if err != nil {
		t.Skipf("this test was built with -trimpath: %v", err)
	}
	listed, err := listedModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if recorded != listed {
		t.Errorf("the compiler recorded %s, the go command says %s", recorded, listed)
	}
}
