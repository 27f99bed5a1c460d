// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// routes are the requests that are answered. What is wrong with others is said in JSON,
// which the mux would not.
func (e *Endpoint) routes() http.Handler {
	mux := http.NewServeMux()
	for path, answers := range map[string]methods{
		"/{$}":                  {http.MethodGet: e.serveName},
		"/roles":                {http.MethodGet: e.serveRoles},
		"/roles/{role}":         {http.MethodGet: e.serveRole},
		"/roles/{role}/leading": {http.MethodGet: e.serveLeading},
		"/roles/{role}/yield":   {http.MethodPost: e.serveYield},
		"/roles/{role}/stopped": {http.MethodPost: e.serveStopped},
		"/members":              {http.MethodGet: e.serveMembers},
		"/events":               {http.MethodGet: e.serveEvents},
	} {
		mux.Handle(path, answers)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, fmt.Sprintf("there is no %q here: use /, /roles, /roles/ROLE, /roles/ROLE/leading, /roles/ROLE/yield, /roles/ROLE/stopped, "+
			"/members or /events", r.URL.Path), http.StatusNotFound)
	})
	return mux
}

// methods answer the requests for a path. HEAD is GET without a body.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if answer, ok := m[method]; ok {
		answer(w, r)
		return
	}
	allowed := slices.Sorted(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		allowed = append(allowed, http.MethodHead)
	}
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	refuse(w, fmt.Sprintf("%s is not for %s: use %s", r.Method, r.URL.Path, allow), http.StatusMethodNotAllowed)
}

// reply answers in JSON.
func reply(w http.ResponseWriter, status int, message any) {
	body, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("encoding %T: %v", message, err)) // of strings, numbers and times only
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // whoever has asked is gone
}

// refuse says why a request is not answered; it is like [http.Error].
func refuse(w http.ResponseWriter, text string, status int) {
	reply(w, status, errorMessage{Error: text})
}
