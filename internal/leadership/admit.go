// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/shardctl/shardctl/internal/endpoint"
)

// admit keeps out whom the answers are not for. A page that a browser on this machine
// shows could reach a loopback address: by a name of its own that leads here (DNS
// rebinding), which shows in Host, or with a form, which shows in Origin or Sec-Fetch-Site.
// If more than this machine reaches the endpoint, or if so configured, the API server says
// who may.
func admit(local bool, reviewer *endpoint.Reviewer, next http.Handler) http.Handler {
	if reviewer != nil {
		next = reviewer.Protect(next, refuse)
	}
	sites := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// No browser leaves Host out; checks in HTTP/1.0 do, as those of HAProxy.
		if local && r.Host != "" && !loopbackHost(r.Host) {
			refuse(w, fmt.Sprintf("the host %q is not this machine: ask by the name localhost or by a loopback address, as 127.0.0.1", r.Host), http.StatusForbidden)
			return
		}
		if err := sites.Check(r); err != nil {
			refuse(w, "pages of other sites may not do this: "+err.Error(), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopbackHost tells whether a Host header names this machine, with or without a port.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return true
	}
	return net.ParseIP(strings.Trim(name, "[]")).IsLoopback()
}
