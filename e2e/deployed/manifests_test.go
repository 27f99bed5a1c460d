// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/shardctl/shardctl/internal/config"
	"github.com/shardctl/shardctl/pkg/lease"
)

// images is a cluster that only has names of images.
type images struct{ Cluster }

func (images) Image() string     { return "example/shardctl:1" }
func (images) HookImage() string { return "example/hook:1" }

// What the suite changes of the example is what it needs to, and is something that replicas take.
func TestTheExampleIsReadForTheSuite(t *testing.T) {
	m, err := readManifests(t.Context(), images{})
	if err != nil {
		t.Fatal(err)
	}
	configMap, err := m.find("ConfigMap", configMapName)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(configMap.Object, "data", configKey)
	parsed, err := config.Parse(configKey, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Timings != lease.Fast || parsed.Name != name {
		t.Errorf("group %s has the timings %+v, want the preset %s of group %s", parsed.Name, parsed.Timings, preset, name)
	}
	types, shards, err := m.types()
	if err != nil {
		t.Fatal(err)
	}
	if least := 2 * replicas; shards < least {
		t.Errorf("there are %d shards of %d types: less than two for each of %d replicas", shards, len(types), replicas)
	}
	if len(m.fence) == 0 {
		t.Error("there is no fence")
	}
	for container, want := range map[string]string{name: images{}.Image(), "hook": images{}.HookImage()} {
		if got := imageOf(t, m, container); got != want {
			t.Errorf("container %s has image %q, want %q", container, got, want)
		}
	}
}

func imageOf(t *testing.T, m manifests, container string) string {
	t.Helper()
	deployment, err := m.find("Deployment", name)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"containers", "initContainers"} {
		containers, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", list)
		for _, c := range containers {
			if c, ok := c.(map[string]any); ok && c["name"] == container {
				image, _ := c["image"].(string)
				return image
			}
		}
	}
	return ""
}
