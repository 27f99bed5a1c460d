// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/config"
)

// manifests is what is installed, in the order in which it is.
type manifests struct {
	// group is overlays/example, with the images of the cluster, and with short timings, so that nobody waits long.
	group []*unstructured.Unstructured
	// fence is what docs/fences.md has applied once the replicas have started: components/fence and overlays/example/fence.
	fence []*unstructured.Unstructured
}

const preset = "fast"

func readManifests(ctx context.Context, c Cluster) (m manifests, err error) {
	root, err := fleet.SourceRoot(ctx)
	if err != nil {
		return m, err
	}
	read := func(dir string) []*unstructured.Unstructured {
		objects, e := kustomize(filepath.Join(root, "manifests", filepath.FromSlash(dir)))
		err = errors.Join(err, e)
		return objects
	}
	m.group = read("overlays/example")
	m.fence = slices.Concat(read("components/fence"), read("overlays/example/fence"))
	if err != nil {
		return m, err
	}
	return m, errors.Join(m.setImages(c), m.setTimings())
}

// kustomize is what `kubectl kustomize` prints.
func kustomize(dir string) ([]*unstructured.Unstructured, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("kustomize %s: %w", dir, err)
	}
	objects := make([]*unstructured.Unstructured, 0, built.Size())
	for _, resource := range built.Resources() {
		text, err := resource.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("kustomize %s: %w", dir, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("kustomize %s: %w", dir, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func (m manifests) find(kind, name string) (*unstructured.Unstructured, error) {
	for _, object := range m.group {
		if object.GetKind() == kind && object.GetName() == name {
			return object, nil
		}
	}
	return nil, fmt.Errorf("the manifests have no %s %s", kind, name)
}

func (m manifests) setImages(c Cluster) error {
	deployment, err := m.find("Deployment", name)
	if err != nil {
		return err
	}
	return errors.Join(setImage(deployment, name, c.Image()), setImage(deployment, "hook", c.HookImage()))
}

// setImage sets the image of a container or an init container of a Deployment.
func setImage(deployment *unstructured.Unstructured, container, image string) error {
	for _, list := range []string{"containers", "initContainers"} {
		path := []string{"spec", "template", "spec", list}
		containers, _, err := unstructured.NestedSlice(deployment.Object, path...)
		if err != nil {
			return err
		}
		for _, c := range containers {
			if c, ok := c.(map[string]any); ok && c["name"] == container {
				c["image"] = image
				return unstructured.SetNestedSlice(deployment.Object, containers, path...)
			}
		}
	}
	return fmt.Errorf("no container %s in Deployment %s", container, deployment.GetName())
}

const (
	configMapName = "shardctl-config"
	configKey     = "config.yaml"
)

// setTimings changes the first document of the configuration.
func (m manifests) setTimings() error {
	configMap, err := m.find("ConfigMap", configMapName)
	if err != nil {
		return err
	}
	text, _, err := unstructured.NestedString(configMap.Object, "data", configKey)
	if err != nil {
		return err
	}
	first, others, several := strings.Cut(text, "\n---\n")
	var document map[string]any
	if err := yaml.Unmarshal([]byte(first), &document); err != nil {
		return fmt.Errorf("ConfigMap %s: %w", configMapName, err)
	}
	if err := unstructured.SetNestedField(document, preset, "spec", "timings", "preset"); err != nil {
		return fmt.Errorf("ConfigMap %s: %w", configMapName, err)
	}
	changed, err := yaml.Marshal(document)
	if err != nil {
		return fmt.Errorf("ConfigMap %s: %w", configMapName, err)
	}
	if several {
		changed = fmt.Append(changed, "---\n", others)
	}
	return unstructured.SetNestedField(configMap.Object, string(changed), "data", configKey)
}

// types are those that the configuration is about, and into how many shards they are divided in all.
func (m manifests) types() (types []objectType, shards int, err error) {
	configMap, err := m.find("ConfigMap", configMapName)
	if err != nil {
		return nil, 0, err
	}
	text, _, err := unstructured.NestedString(configMap.Object, "data", configKey)
	if err != nil {
		return nil, 0, err
	}
	parsed, err := config.Parse(configKey, []byte(text))
	if err != nil {
		return nil, 0, err
	}
	for _, role := range parsed.Roles {
		for _, resource := range role.Resources() {
			kind, err := m.kindOf(resource.GVR().GroupResource())
			if err != nil {
				return nil, 0, err
			}
			types = append(types, objectType{GroupVersionResource: resource.GVR(), kind: kind})
			shards += role.Buckets
		}
	}
	return types, shards, nil
}

func (m manifests) kindOf(resource schema.GroupResource) (string, error) {
	definition, err := m.find("CustomResourceDefinition", resource.String())
	if err != nil {
		return "", err
	}
	kind, _, err := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	return kind, err
}
