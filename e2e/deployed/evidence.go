// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// EvidenceVariable is the environment variable with the directory for what is kept of a failed run. Default: a new one where
// temporary files are.
const EvidenceVariable = "E2E_EVIDENCE"

const evidenceLimit = 2 * time.Minute

// saveEvidence writes down what was seen, for whoever has to find out why a test failed.
func (s *suite) saveEvidence(t *testing.T) {
	t.Helper()
	// The test's own context is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), evidenceLimit)
	defer cancel()
	dir, err := evidenceDir()
	if err != nil {
		t.Errorf("evidence: %v", err)
		return
	}
	t.Logf("the evidence is in %s", dir)
	if err := os.WriteFile(filepath.Join(dir, "leases.txt"), s.leaseHistory(), 0o644); err != nil {
		t.Errorf("evidence: %v", err)
	}
	if now, err := s.status(ctx); err != nil {
		t.Errorf("evidence: %v", err)
	} else if err := os.WriteFile(filepath.Join(dir, "status.txt"), []byte(table(now)), 0o644); err != nil {
		t.Errorf("evidence: %v", err)
	}
	if err := s.Evidence(ctx, dir); err != nil {
		t.Logf("evidence: not all could be had: %v", err)
	}
}

// evidenceDir is not one of the test's own, which are removed with it.
func evidenceDir() (string, error) {
	if dir := os.Getenv(EvidenceVariable); dir != "" {
		return dir, os.MkdirAll(dir, 0o755)
	}
	return os.MkdirTemp("", "shardctl-evidence-")
}

// leaseHistory is every change of a holder, one per line, oldest first.
func (s *suite) leaseHistory() (text []byte) {
	for _, c := range changesIn(s.recorder.Events(), 0, s.recorder.Revision()) {
		text = fmt.Appendln(text, c)
	}
	return text
}
