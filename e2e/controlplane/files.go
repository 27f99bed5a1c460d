// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
)

// files says where everything of one control plane lies.
type files struct {
	dir  string // removed in the end
	logs string // within dir, or the caller's
}

// keyPairFiles are the paths of a certificate and its key.
type keyPairFiles struct {
	certificate, key string
}

func (f files) keys() string             { return filepath.Join(f.dir, "keys") }
func (f files) home() string             { return filepath.Join(f.dir, "home") }
func (f files) kubeconfigs() string      { return filepath.Join(f.dir, "kubeconfigs") }
func (f files) clusterAuthority() string { return filepath.Join(f.keys(), "cluster-ca.crt") }
func (f files) etcdAuthority() string    { return filepath.Join(f.keys(), "etcd-ca.crt") }
func (f files) auditPolicy() string      { return filepath.Join(f.dir, "audit-policy.yaml") }
func (f files) serviceAccountKey() string {
	return filepath.Join(f.keys(), "service-account.key")
}

// auditLog has no number for the first API server.
func (f files) auditLog(apiServer int) string {
	if apiServer == 0 {
		return filepath.Join(f.logs, "audit.log")
	}
	return filepath.Join(f.logs, fmt.Sprintf("audit-%d.log", apiServer+1))
}

func (f files) log(server string) string { return filepath.Join(f.logs, server+".log") }

func (f files) kubeconfig(user string) string {
	return filepath.Join(f.kubeconfigs(), user+".kubeconfig")
}

func (f files) keyPair(name string) keyPairFiles {
	return keyPairFiles{
		certificate: filepath.Join(f.keys(), name+".crt"),
		key:         filepath.Join(f.keys(), name+".key"),
	}
}

// makeFiles creates the directories within dir, and that of the logs, which is by default among them.
func makeFiles(dir, logs string) (files, error) {
	if logs == "" {
		logs = filepath.Join(dir, "logs")
	}
	logs, err := filepath.Abs(logs)
	if err != nil {
		return files{}, err
	}
	f := files{dir: dir, logs: logs}
	for _, dir := range []string{f.keys(), f.home(), f.kubeconfigs(), f.logs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return files{}, err
		}
	}
	return f, nil
}

func (f files) writeKeyPair(name string, pair keyPair) error {
	paths := f.keyPair(name)
	if err := writeSecret(paths.certificate, pair.certificate); err != nil {
		return err
	}
	return writeSecret(paths.key, pair.key)
}

func writeSecret(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write key material: %w", err)
	}
	return nil
}
