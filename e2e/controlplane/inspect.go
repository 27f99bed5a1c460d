// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

// Binaries returns what is running: its versions and where it was built.
func (c *ControlPlane) Binaries() Binaries { return c.binaries }

// Dir returns the directory that Stop removes.
func (c *ControlPlane) Dir() string { return c.files.dir }

// LogDir returns the directory of the servers' logs (<server>.log) and of the audit log.
func (c *ControlPlane) LogDir() string { return c.files.logs }

// AuditLogPath returns the (first) API server's file with one JSON object of type audit.k8s.io/v1 Event per line. There is none
// unless Options.Audit asked for it. An entry is there before its request is answered.
func (c *ControlPlane) AuditLogPath() string { return c.apiServers[0].auditLog }

// AuditLogPaths returns such a file for each API server.
func (c *ControlPlane) AuditLogPaths() []string {
	var paths []string
	for _, s := range c.apiServers {
		paths = append(paths, s.auditLog)
	}
	return paths
}

// PIDs returns the process of each running server by the name of its program (the second API server: kube-apiserver-2), for
// tests that pause or kill them. To be killed breaks the control plane (see Wait); to be restarted does not.
func (c *ControlPlane) PIDs() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	pids := map[string]int{}
	for _, server := range c.servers() {
		pids[server.name] = server.pid()
	}
	return pids
}
