// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"strings"
	"testing"
)

// An answer of the largest size costs a bounded multiple of it, whatever it is made of.
func TestDecodedAnswersAreBounded(t *testing.T) {
	const most = 32 * MaxAnswerBytes
	for name, unit := range map[string]string{
		"empty objects": `{},`, "empty lists": `[],`, "numbers": `7,`, "objects": `{"":[]},`, "nulls": `null,`,
		"deep lists":   strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + ",",
		"deep objects": strings.Repeat(`{"":`, 5000) + "0" + strings.Repeat("}", 5000) + ",",
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte(`{"a":[` + strings.Repeat(unit, MaxAnswerBytes/len(unit)) + `0]}`)
			var err error
			if bytes := allocated(func() { err = Decode(body, &anything{}) }); bytes > most {
				t.Errorf("%d MiB were allocated, want %d at most", bytes>>20, most>>20)
			}
			if err == nil || !strings.Contains(err.Error(), "holds more than the 250000 values allowed") {
				t.Errorf("got %v, want it refused", err)
			}
		})
	}
}

func TestMaxAnswerValues(t *testing.T) {
	list := func(n int) string { return `{"a":[` + strings.Repeat("0,", n-1) + `0]}` }
	const around = 3 // the object, the name, the list
	for _, tt := range []struct {
		name, body string
		refused    bool
	}{
		{"all that are allowed", list(MaxAnswerValues - around), false},
		{"one more", list(MaxAnswerValues - around + 1), true},
		{"text is one value", `{"a": "` + strings.Repeat(`[{,\"`, MaxAnswerValues) + `"}`, false},
		{"a backslash at the end of a text", `{"a": "\\", "b": ` + list(MaxAnswerValues) + `}`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := Decode([]byte(tt.body), &anything{}); (err != nil) != tt.refused {
				t.Errorf("got %v, want refused %v", err, tt.refused)
			}
		})
	}
}

// In strict mode an error names fields, and hooks choose how long those names are.
func TestStrictErrorsAreShort(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	h := serve(t, say(`{"`+long+`": {}, "a`+long+`": {}}`), func(w *Webhook) { w.ResponseUnMarshallMode = answersStrict })
	wantError(t, h.Call(t.Context(), struct{}{}, &struct{}{}), BadAnswer, "unknown field")
}
