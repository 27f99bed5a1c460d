// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"net/http"
)

// endingKey is that of a context which is done once the endpoint begins to end.
type endingKey struct{}

// lasting serves requests that may last as long as the process: so many at a time, and
// until the endpoint ends. Their handlers set the deadlines of what they write.
func lasting(limit int, next http.Handler) http.Handler {
	open := make(chan struct{}, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case open <- struct{}{}:
		default:
			w.Header().Set("Retry-After", "10")
			http.Error(w, "too many of these are open: close some, or ask another replica", http.StatusServiceUnavailable)
			return
		}
		defer func() { <-open }()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		if ending, ok := ctx.Value(endingKey{}).(context.Context); ok {
			defer context.AfterFunc(ending, cancel)()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
