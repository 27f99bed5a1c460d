// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// run runs a command in a node and returns what it has printed. It is not stopped with the context if that ends while docker
// carries it out, but neither does it take long.
func run(ctx context.Context, node nodes.Node, command string, args ...string) ([]byte, error) {
	var out, messages bytes.Buffer
	if err := node.CommandContext(ctx, command, args...).SetStdout(&out).SetStderr(&messages).Run(); err != nil {
		return nil, fmt.Errorf("in node %s: %s %s: %w: %s", node, command, strings.Join(args, " "), err, messages.Bytes())
	}
	return out.Bytes(), nil
}
