// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"net/http"
	"path"
	"strings"

	"k8s.io/client-go/rest"
)

// basePath is the path of a configuration's host, without a slash at its end: of
// an API server behind a proxy that has many (https://proxy/k8s/clusters/c-1), all
// paths begin with it. It is empty for one that has its host for itself.
func basePath(cfg *rest.Config) string {
	host, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return "" // there is no client of such a configuration
	}
	return strings.TrimSuffix(path.Join("/", host.Path), "/") // as clients do
}

// asServed is a request with the path that the API server sees, to look at and not
// to send. What is not below the base is nothing of that API server: it has no path.
func (f *fencedTransport) asServed(req *http.Request) *http.Request {
	if f.base == "" {
		return req
	}
	served, at := req.WithContext(req.Context()), *req.URL
	at.Path, at.RawPath = "", ""
	if below, ok := strings.CutPrefix(req.URL.Path, f.base); ok && strings.HasPrefix(below, "/") {
		at.Path = below
	}
	served.URL = &at
	return served
}

// target is what a request is about, as its path has it.
type target struct {
	resource    string // the type, as resource.group
	collection  string // path of all objects of the type, in the namespace if there is one
	name        string // of the object; empty for all of them
	subresource string // empty for the object itself
}

// object is the path of the object, whichever of its subresources is meant.
func (t target) object() string { return t.collection + "/" + t.name }

// streams tells whether the path leads on to something else than an object: its
// answers are whatever is found there.
func (t target) streams() bool {
	switch t.subresource {
	case "attach", "exec", "portforward", "proxy":
		return true
	}
	return false
}

// targetOf reads the path of a request, as the API server sees it: /api/v1/... or
// /apis/<group>/<version>/..., with or without namespaces/<namespace>.
func targetOf(path string) (target, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var group string
	var at int // where the resource is
	switch {
	case len(parts) > 2 && parts[0] == "api":
		at = 2
	case len(parts) > 3 && parts[0] == "apis":
		group, at = "."+parts[1], 3
	default:
		return target{}, false
	}
	if len(parts) > at+2 && parts[at] == "namespaces" && !isNamespaceSubresource(parts[at+2]) {
		at += 2
	}
	t := target{resource: parts[at] + group, collection: "/" + strings.Join(parts[:at+1], "/")}
	if len(parts) > at+1 {
		t.name = parts[at+1]
	}
	if len(parts) > at+2 {
		t.subresource = parts[at+2]
	}
	return t, true
}

func isNamespaceSubresource(s string) bool { return s == "status" || s == "finalize" }
