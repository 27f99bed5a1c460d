// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/rand"
)

// NodeImageVariable is the environment variable with the name of the node image to use instead of kind's default.
const NodeImageVariable = "KIND_NODE_IMAGE"

// Options of a [Cluster]. Image and HookImage are required.
type Options struct {
	// Image is that of shardctl: docker has it, and it is not pulled.
	Image string
	// HookImage is that of the example's hook, likewise.
	HookImage string
	// Name is the cluster's. Default: shardctl-e2e- and something random.
	Name string
	// NodeImage is what the nodes are made of. Default: what [NodeImageVariable] names, or else kind's own default, which docker
	// pulls.
	NodeImage string
}

const nameSuffixLength = 5

func (o Options) withDefaults() (Options, error) {
	for option, image := range map[string]string{"image": o.Image, "hookImage": o.HookImage} {
		if image == "" {
			return o, fmt.Errorf("kindcluster options: %s: it is empty: name an image that docker has, for instance by make image", option)
		}
	}
	if strings.Contains(o.Image, "@") {
		return o, errors.New("kindcluster options: image: it is a digest: use a tag, since a second one is made of it")
	}
	o.Name = cmp.Or(o.Name, "shardctl-e2e-"+rand.String(nameSuffixLength))
	o.NodeImage = cmp.Or(o.NodeImage, os.Getenv(NodeImageVariable))
	return o, nil
}
