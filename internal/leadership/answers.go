// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"fmt"
	"net/http"
	"strings"
)

// serveName serves what the leader-elector sidecar of Kubernetes' contrib did. Programs
// compare the name with that of their own Pod, so this one's is told only while it leads.
func (e *Endpoint) serveName(w http.ResponseWriter, _ *http.Request) {
	root, ok := e.rootRole()
	if !ok {
		refuse(w, "there is no role whose leader could be named here: name one in spec.leadership.root, or ask /roles", http.StatusNotFound)
		return
	}
	m := e.roleNow(root, e.journal.look())
	var answer nameMessage
	if m.Leader != nil && (m.Leading || m.Leader.Pod != e.pod) {
		answer.Name = m.Leader.Pod
	}
	reply(w, http.StatusOK, answer)
}

// rootRole is the one that is configured, or else the only leadership role.
func (e *Endpoint) rootRole() (root Role, ok bool) {
	if e.root != "" {
		return e.role(e.root)
	}
	for _, role := range e.roles() {
		if role.Kind != Leadership {
			continue
		}
		if ok {
			return Role{}, false
		}
		root, ok = role, true
	}
	return root, ok
}

func (e *Endpoint) serveRoles(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, e.rolesNow(e.journal.look(), nil))
}

func (e *Endpoint) serveMembers(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, e.membersNow(e.journal.look()))
}

func (e *Endpoint) serveRole(w http.ResponseWriter, r *http.Request) {
	if role, ok := e.asked(w, r.PathValue("role")); ok {
		reply(w, http.StatusOK, e.roleNow(role, e.journal.look()))
	}
}

// serveLeading answers with a line for people; the status is what counts.
func (e *Endpoint) serveLeading(w http.ResponseWriter, r *http.Request) {
	role, ok := e.asked(w, r.PathValue("role"))
	if !ok {
		return
	}
	m := e.roleNow(role, e.journal.look())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case m.Leading:
		fmt.Fprintf(w, "%s leads %s: epoch %d, valid for %.3f s\n", e.pod, m.Role, m.Epoch, m.ForSeconds)
	case m.Leader == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "nobody leads %s\n", m.Role)
	case m.Leader.Pod == e.pod:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s does not lead %s: it was not granted yet, or was revoked\n", e.pod, m.Role)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s does not lead %s: %s does\n", e.pod, m.Role, m.Leader.Pod)
	}
}

// asked returns the role that a request is about, or refuses it.
func (e *Endpoint) asked(w http.ResponseWriter, name string) (Role, bool) {
	role, ok := e.role(name)
	if !ok {
		refuse(w, fmt.Sprintf("there is no role %q: %s", name, e.known()), http.StatusNotFound)
	}
	return role, ok
}

// known names the roles that can be asked for.
func (e *Endpoint) known() string {
	var names []string
	for _, role := range e.roles() {
		names = append(names, role.Name)
	}
	if len(names) == 0 {
		return "the configuration has none of the kinds leadership, schedule and exec"
	}
	return "use one of " + strings.Join(names, ", ")
}
