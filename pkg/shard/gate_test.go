// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestGateDefaults(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, tc := range []struct {
		name        string
		given, want Gate
	}{
		{"nothing", Gate{}, Gate{Interval: 5 * s, Timeout: s, FailureThreshold: 3, SuccessThreshold: 1}},
		{"a short interval", Gate{Interval: 200 * ms}, Gate{Interval: 200 * ms, Timeout: 200 * ms, FailureThreshold: 3, SuccessThreshold: 1}},
		{
			"everything",
			Gate{Interval: 7 * s, Timeout: 3 * s, FailureThreshold: 2, SuccessThreshold: 5},
			Gate{Interval: 7 * s, Timeout: 3 * s, FailureThreshold: 2, SuccessThreshold: 5},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.given
			got.setDefaults()
			if got.Interval != tc.want.Interval || got.Timeout != tc.want.Timeout ||
				got.FailureThreshold != tc.want.FailureThreshold || got.SuccessThreshold != tc.want.SuccessThreshold {
				t.Errorf("%+v becomes %+v, want %+v", tc.given, got, tc.want)
			}
		})
	}
}

func TestGateValidation(t *testing.T) {
	fit := func(context.Context) error { return nil }
	for _, tc := range []struct {
		name string
		gate Gate
		want []string
	}{
		{"defaults", Gate{Check: fit}, nil},
		{"least", Gate{Check: fit, Interval: 100 * time.Millisecond, Timeout: 10 * time.Millisecond, FailureThreshold: 1, SuccessThreshold: 1}, nil},
		{"most", Gate{Check: fit, Interval: time.Hour, Timeout: time.Hour, FailureThreshold: 1000, SuccessThreshold: 1000}, nil},
		{"no check", Gate{}, []string{"gate.check: is required"}},
		{"interval too short", Gate{Check: fit, Interval: time.Millisecond}, []string{"gate.interval: 1ms is not allowed: use 100ms to 1h0m0s, or 0 for 5s"}},
		{"interval too long", Gate{Check: fit, Interval: 2 * time.Hour}, []string{"gate.interval: 2h0m0s is not allowed: use 100ms to 1h0m0s, or 0 for 5s"}},
		{"timeout too short", Gate{Check: fit, Timeout: -1}, []string{"gate.timeout: -1ns is not allowed: use 10ms up to the interval, 5s"}},
		{"timeout too long", Gate{Check: fit, Timeout: 6 * time.Second}, []string{"gate.timeout: 6s is not allowed: use 10ms up to the interval, 5s"}},
		{"thresholds", Gate{Check: fit, FailureThreshold: -1, SuccessThreshold: 1001}, []string{
			"gate.failureThreshold: -1 is not allowed: use 1 to 1000", "gate.successThreshold: 1001 is not allowed: use 1 to 1000",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := tc.gate.validate(); err != nil {
				got = err.Error()
			}
			if want := strings.Join(tc.want, "\n"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Each character is a check that succeeded (+) or failed (-), and what the gate is after it:
// open (o) or closed (c).
func TestDebounce(t *testing.T) {
	for _, tc := range []struct {
		name                string
		failures, successes int
		open                bool
		checks, want        string
	}{
		{"opens at once", 3, 1, false, "+", "o"},
		{"stays closed", 3, 1, false, "---", "ccc"},
		{"opens after so many in a row", 3, 3, false, "++-+++", "ccccco"},
		{"closes after so many in a row", 3, 1, true, "--+---", "oooooc"},
		{"closes at once", 1, 2, true, "-+-++", "cccco"},
		{"one success among failures opens nothing that needs two", 2, 2, false, "+-+-+-", "cccccc"},
		{"one failure among successes closes nothing that needs two", 2, 2, true, "-+-+-+", "oooooo"},
		{"goes to and fro", 2, 2, false, "++--++--", "coocc" + "ooc"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := debounce{failures: tc.failures, successes: tc.successes, open: tc.open}
			var got strings.Builder
			for _, check := range tc.checks {
				before := d.open
				if changed := d.take(check == '+'); changed != (d.open != before) {
					t.Errorf("after %q, %c: changed is %v, open was %v and is %v", got.String(), check, changed, before, d.open)
				}
				if d.open {
					got.WriteByte('o')
				} else {
					got.WriteByte('c')
				}
			}
			if got.String() != tc.want {
				t.Errorf("checks %s: %s, want %s", tc.checks, got.String(), tc.want)
			}
		})
	}
}
