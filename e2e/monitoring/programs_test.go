// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// component is where the files are that are tested.
const component = "../../manifests/components/monitoring"

// Paths of the programs.
var promtoolBinary, prometheusBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "shardctl-monitoring-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = buildPrograms(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func buildPrograms(dir string) error {
	promtoolBinary, prometheusBinary = filepath.Join(dir, "promtool"), filepath.Join(dir, "prometheus")
	const module = "github.com/prometheus/prometheus/cmd/"
	// Into a directory, go build puts each program under its name.
	cmd := exec.Command("go", "build", "-tags=remove_all_sd", "-ldflags=-s -w", "-o", dir+string(filepath.Separator), module+"promtool", module+"prometheus")
	cmd.Dir = "prometheus"
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	fmt.Fprintln(os.Stderr, "building prometheus and promtool: this takes minutes the first time")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build prometheus and promtool: %w\n%s", err, output)
	}
	return nil
}
