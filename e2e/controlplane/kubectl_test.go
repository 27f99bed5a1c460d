// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane_test

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

func TestKubectlIsOfTheServersRelease(t *testing.T) {
	path, err := controlplane.Kubectl(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	binaries, err := controlplane.Build(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), path, "version", "--client", "--output=json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		ClientVersion struct{ GitVersion string }
	}
	if err := json.Unmarshal(output, &answer); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := answer.ClientVersion.GitVersion; got != binaries.Kubernetes {
		t.Errorf("kubectl is %s, and the servers are %s", got, binaries.Kubernetes)
	}
}
