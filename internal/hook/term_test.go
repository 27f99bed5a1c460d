// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
)

// told is what a hook was told of its term.
type told struct {
	Shard string `json:"shard"`
	Epoch string `json:"epoch"`
	Token string `json:"token"`
}

// terms are contexts, and what hooks are told in them.
func terms(t *testing.T) map[string]struct {
	ctx  context.Context
	want told
} {
	const token = int64(1763715600)<<31 | 7
	return map[string]struct {
		ctx  context.Context
		want told
	}{
		"within a term": {
			WithTerm(t.Context(), Term{Shard: "widgets.example.com.3-of-16", Epoch: 7, Token: token}),
			told{"widgets.example.com.3-of-16", "7", strconv.FormatInt(token, 10)},
		},
		"outside of any": {t.Context(), told{}},
	}
}

func TestWebhookIsToldOfTheTerm(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(told{r.Header.Get("Shardctl-Shard"), r.Header.Get("Shardctl-Epoch"), r.Header.Get("Shardctl-Fencing-Token")})
	})
	for name, tc := range terms(t) {
		var got told
		if err := h.Call(tc.ctx, struct{}{}, &got); err != nil || got != tc.want {
			t.Errorf("%s: told %+v, error %v; want %+v", name, got, err, tc.want)
		}
	}
}

func TestProgramIsToldOfTheTerm(t *testing.T) {
	// What shardctl itself was started with is not the program's.
	for _, name := range []string{"SHARDCTL_SHARD", "SHARDCTL_EPOCH", "SHARDCTL_FENCING_TOKEN"} {
		t.Setenv(name, "somebody else's")
	}
	p := newProgram(t, "term", nil)
	for name, tc := range terms(t) {
		var got told
		if err := p.Call(tc.ctx, struct{}{}, &got); err != nil || got != tc.want {
			t.Errorf("%s: told %+v, error %v; want %+v", name, got, err, tc.want)
		}
	}
}
