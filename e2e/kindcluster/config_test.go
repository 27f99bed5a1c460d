// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"
)

func TestPatchesAreYAMLForBothVersionsOfKubeadm(t *testing.T) {
	for _, version := range []string{"v1beta4", "v1beta3"} {
		found := false
		for _, patch := range apiServerPatches() {
			var document struct {
				APIVersion string `json:"apiVersion"`
				APIServer  struct {
					ExtraArgs any `json:"extraArgs"`
				} `json:"apiServer"`
			}
			if err := yaml.Unmarshal([]byte(patch), &document); err != nil {
				t.Fatalf("%v in\n%s", err, patch)
			}
			found = found || document.APIVersion == "kubeadm.k8s.io/"+version && document.APIServer.ExtraArgs != nil
		}
		if !found {
			t.Errorf("no patch gives the API server of %s arguments", version)
		}
	}
}

func TestClusterHasOneControlPlaneAndThreeWorkers(t *testing.T) {
	roles := map[v1alpha4.NodeRole]int{}
	for _, node := range clusterConfig("policy.yaml").Nodes {
		roles[node.Role]++
	}
	if roles[v1alpha4.ControlPlaneRole] != 1 || roles[v1alpha4.WorkerRole] != 3 {
		t.Errorf("the nodes are %v", roles)
	}
}

func TestOptions(t *testing.T) {
	t.Setenv(NodeImageVariable, "some/node:v1")
	options, err := Options{Image: "shardctl:1", HookImage: "hook:1"}.withDefaults()
	if err != nil || options.NodeImage != "some/node:v1" || !strings.HasPrefix(options.Name, "shardctl-e2e-") {
		t.Errorf("withDefaults returned %+v, %v", options, err)
	}
	for wrong, options := range map[string]Options{
		"image:":     {HookImage: "hook:1"},
		"hookImage:": {Image: "shardctl:1"},
		"digest":     {Image: "shardctl@sha256:00", HookImage: "hook:1"},
	} {
		if _, err := options.withDefaults(); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("withDefaults of %+v returned %v, want a message about %q", options, err, wrong)
		}
	}
}
