// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"
)

func TestLastRenewal(t *testing.T) {
	renewals := map[string]time.Time{"member": at(3), "shard": at(2)}
	for _, test := range []struct {
		name     string
		of       []string
		killedAt int
		want     time.Time
		wantErr  string
	}{
		{"one", []string{"member"}, 5, at(3), ""},
		{"the earlier of two", []string{"member", "shard"}, 5, at(2), ""},
		{
			"of a Lease that is not there",
			[]string{"member", "manager"},
			5,
			time.Time{},
			"the Lease manager was renewed last at 0001-01-01 00:00:00 +0000 UTC, but its holder was killed at 1970-01-01 00:00:00.005 +0000 UTC",
		},
		{
			"by somebody else, after the kill",
			[]string{"member"},
			2,
			time.Time{},
			"the Lease member was renewed last at 1970-01-01 00:00:00.003 +0000 UTC, but its holder was killed at 1970-01-01 00:00:00.002 +0000 UTC",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := lastRenewal(renewals, at(test.killedAt), test.of...)
			if !got.Equal(test.want) || message(err) != test.wantErr {
				t.Errorf("got %v, %q, want %v, %q", got, message(err), test.want, test.wantErr)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What knative calls the Leases of its electors is known in two places.
func TestLeasesOfKnative(t *testing.T) {
	trial := trial{who: knative}
	for _, name := range trial.renewedLeases("shard-7") {
		if shard := shardOfKnativeLease(name); shard != "shard-7" {
			t.Errorf("the Lease %s of shard-7 is taken for that of %s", name, shard)
		}
	}
}

func TestTakeOverFigures(t *testing.T) {
	gaps := gaps{16500 * time.Millisecond, 14 * time.Second, 15 * time.Second}
	for _, test := range []struct {
		of     span
		missed []string
	}{
		{span{sinceRenewal, session}, []string{"after_last_renewal_p99", "take_overs_before_lease_duration"}},
		{span{sinceRenewal, leaseMode}, []string{"after_last_renewal_p99", "take_overs_before_lease_duration"}},
		{span{sinceRenewal, clientGo}, nil},
		{span{sinceKill, session}, nil},
		{span{sinceReport, leaseMode}, []string{"after_report_of_death_p99"}},
	} {
		t.Run(test.of.name+" of "+string(test.of.who), func(t *testing.T) {
			b := newTestBench()
			b.addTakeOvers(test.of, lapse{gaps, 2})
			if missed := missedFigures(b); !slices.Equal(missed, test.missed) {
				t.Errorf("targets of %v are missed, want %v", missed, test.missed)
			}
		})
	}
}
