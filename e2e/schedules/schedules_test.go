// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

// Replicas are killed, stopped and cut off at every step of claim, start and end, and everything else is restarted. No tick is
// started twice; what is lost may be lost; with atLeastOnce nothing is. Nothing here depends on how fast the machine is but the
// limits of the waits.
func TestNoTickIsStartedTwice(t *testing.T) {
	cp := controlplane.Start(t, controlplane.Options{KeepHistory: true})
	dir := t.ArtifactDir()
	binary, err := fleet.Build(t.Context(), fleet.BuildOptions{Dir: cp.Dir(), Race: true})
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	began := time.Now()
	report, err := Run(t.Context(), Options{
		ControlPlane: cp, Binary: binary, Program: []string{os.Args[0]}, Env: []string{"GORACE=atexit_sleep_ms=0"}, Dir: dir, Seed: seed, Tellf: t.Logf,
	})
	if err != nil {
		t.Fatalf("%v\nthe replicas' logs are in %s", err, dir)
	}
	var out strings.Builder
	if err := report.Print(&out); err != nil {
		t.Error(err)
	}
	t.Logf("%s\n%s", time.Since(began).Round(time.Second), out.String())
	if err := report.Err(); err != nil {
		t.Errorf("%v\nthe replicas' logs and the evidence are in %s", err, dir)
	}
	checkRaces(t, dir)
}

// checkRaces fails the test if a replica has reported a data race.
func checkRaces(t *testing.T, dir string) {
	t.Helper()
	for _, pod := range pods() {
		log, err := os.ReadFile(filepath.Join(dir, pod+".log"))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(log), "DATA RACE") {
			t.Errorf("replica %s has data races:\n%s", pod, log)
		}
	}
}
