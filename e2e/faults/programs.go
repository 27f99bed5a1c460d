// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/shardctl/shardctl/e2e/fleet"
)

// noLocalFence is the build tag by which the local fence lets everything pass.
const noLocalFence = "shardctl_nofence"

// programs are the paths of the replica's program: as users build it, and without its local fence.
type programs struct {
	plain, unfenced string
}

func (p programs) of(k Kind) string {
	if k.NoLocalFence {
		return p.unfenced
	}
	return p.plain
}

func buildPrograms(ctx context.Context, dir string) (programs, error) {
	root, err := fleet.SourceRoot(ctx)
	if err != nil {
		return programs{}, err
	}
	p := programs{plain: filepath.Join(dir, "faultreplica"), unfenced: filepath.Join(dir, "faultreplica-"+noLocalFence)}
	for path, tags := range map[string]string{p.plain: "", p.unfenced: noLocalFence} {
		cmd := exec.CommandContext(ctx, "go", "build", "-tags="+tags, "-o", path, "./cmd/faultreplica")
		cmd.Dir, cmd.Env = filepath.Join(root, "e2e"), append(os.Environ(), "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			return programs{}, fmt.Errorf("build the replica's program with tags %q: %w\n%s", tags, err, output)
		}
	}
	return p, nil
}
