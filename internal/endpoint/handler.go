// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// streamPath is that of the dashboard's stream.
const streamPath = "/events"

// newHandler routes requests. The mux answers 404 to unknown paths, 405 to what is
// neither GET nor HEAD.
func newHandler(o Options) http.Handler {
	mux := http.NewServeMux()
	for name, checks := range map[string][]Check{"livez": o.Live, "readyz": o.Ready} {
		h := Health(name, checks)
		mux.Handle("GET /"+name, h)
		mux.Handle("GET /"+name+"/{check}", h)
	}
	guard := func(part Part, next http.Handler) http.Handler {
		if slices.Contains(o.Protect, part) {
			return o.Reviewer.Protect(next, http.Error)
		}
		return next
	}
	mux.Handle("GET /metrics", guard(Metrics, promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		Registry: o.Registerer, MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	})))
	if o.Pprof {
		mux.Handle("GET /debug/pprof/", guard(Pprof, lasting(maxProfiles, profiles())))
	}
	if o.Dashboard != nil {
		mux.Handle("GET /", guard(Dashboard, o.Dashboard))
		mux.Handle("GET "+streamPath, guard(Dashboard, lasting(maxStreams, o.Dashboard)))
	}
	return careful(mux)
}

// profiles are those of net/http/pprof, which lets them take as long as they are asked to.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		mux.ServeHTTP(w, r)
	})
}

// careful sets what a browser must not do with an answer, unless the handler says
// otherwise, and bounds the time for a body: nobody asks for one, but the server reads it.
func careful(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTimeout)) // a test's writer has none
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}
