// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import "net/http"

// reviews are asked by POST and change nothing: they are questions, which the API
// server answers without storing anything.
var reviews = map[string]bool{
	"selfsubjectreviews.authentication.k8s.io":       true,
	"tokenreviews.authentication.k8s.io":             true,
	"localsubjectaccessreviews.authorization.k8s.io": true,
	"selfsubjectaccessreviews.authorization.k8s.io":  true,
	"selfsubjectrulesreviews.authorization.k8s.io":   true,
	"subjectaccessreviews.authorization.k8s.io":      true,
}

// harmless tells whether a request needs no term: reads, watches and reviews.
//
// Logs, and connections that are upgraded by GET (exec, attach and port-forward
// by WebSocket), are reads by that rule; those that are upgraded by POST are
// opened within a term only. None of them is cut once it is open. A dry run is
// a write, as it is for the API server's fence: what would be refused in earnest
// is to be refused then.
func harmless(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	case http.MethodPost:
		t, ok := targetOf(req.URL.Path)
		return ok && t.name == "" && reviews[t.resource]
	}
	return false
}
