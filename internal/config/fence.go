// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/shardctl/shardctl/pkg/fence"
)

// TypesOf are the types that the group reconciles, each once, with all that any of its roles
// attaches to it, in the order of the file. There are none if no role has any.
func TypesOf(cfg *Config) []fence.Type {
	var types []fence.Type
	at := map[schema.GroupResource]int{}
	for _, role := range cfg.Roles {
		for _, parent := range role.Resources() {
			resource := parent.GVR().GroupResource()
			i, known := at[resource]
			if !known {
				i = len(types)
				at[resource] = i
				types = append(types, fence.Type{Resource: resource})
			}
			for _, attachment := range role.Attachments() {
				types[i].Attachments = append(types[i].Attachments, attachment.GVR().GroupResource())
			}
		}
	}
	return types
}
