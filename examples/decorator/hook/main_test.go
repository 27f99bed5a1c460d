// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestServeSync(t *testing.T) {
	for _, test := range []struct {
		name, request string
		code          int
		answer        string
	}{
		{
			"a widget",
			`{"object":{"kind":"Widget","metadata":{"name":"w","generation":3},"spec":{"size":2,"color":"red"}}}`,
			http.StatusOK,
			`{"status":{"phase":"Ready","label":"red, size 2","observedGeneration":3},"attachments":[` +
				`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"widget-w"},"data":{"label":"red, size 2"}}]}`,
		},
		{"not JSON", `{`, http.StatusBadRequest, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			serveSync(recorder, httptest.NewRequest(http.MethodPost, "/sync", strings.NewReader(test.request)))
			if got := strings.TrimSpace(recorder.Body.String()); recorder.Code != test.code || got != test.answer {
				t.Errorf("the answer is %d %s\nwant %d %s", recorder.Code, got, test.code, test.answer)
			}
		})
	}
}
