// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/shardctl/shardctl/pkg/lease"
)

// series is a counter or a histogram: of the former value is the count, of the latter the sum of what was observed.
type series struct {
	cause string
	value float64
	count uint64
}

// seriesOf returns the series of a metric of the group.
func seriesOf(t *testing.T, r prometheus.Gatherer, name string) (all []series) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "shardctl_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			s := series{value: m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum(), count: m.GetHistogram().GetSampleCount()}
			for _, l := range m.GetLabel() {
				if l.GetName() == "cause" {
					s.cause = l.GetValue()
				}
			}
			all = append(all, s)
		}
	}
	return all
}

func TestEveryTermIsLostOnce(t *testing.T) {
	term := func(epoch int32) lease.Term { return lease.Term{Shard: "s", Epoch: epoch} }
	r := prometheus.NewRegistry()
	m, err := newMetrics(r, "g")
	if err != nil {
		t.Fatal(err)
	}
	m.granted(term(1))
	m.revoked(lease.Revoked{Term: term(1), Cause: lease.CauseBalance, Graceful: true})
	m.revoked(lease.Revoked{Term: term(1), Cause: lease.CauseLapsed}) // while it drained
	m.granted(term(3))
	m.revoked(lease.Revoked{Term: term(3), Cause: lease.CauseLapsed})
	m.granted(term(5))
	m.revoked(lease.Revoked{Term: term(5), Cause: lease.CauseBalance, Graceful: true})
	lost := map[string]float64{}
	for _, s := range seriesOf(t, r, "shard_lost_total") {
		lost[s.cause] = s.value
	}
	if len(lost) != 2 || lost["balance"] != 2 || lost["lapsed"] != 1 {
		t.Errorf("three terms were lost by %v, want 2 by balance and 1 by lapsed", lost)
	}
}

func TestHandoffGapIsUntilTheFirstWorkBegins(t *testing.T) {
	const absent = 40 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewRegistry()
		m, err := newMetrics(r, "g")
		if err != nil {
			t.Fatal(err)
		}
		began := func(left time.Time) *tenure {
			record := lease.Term{Shard: "s", How: lease.CauseTransfer, Left: left}
			v := lease.NewValidity(lease.MonotonicClock())
			tenure := newTenure(context.Background(), 1, record, v)
			tenure.onFirst = func(at time.Time) { m.began(record, at) }
			return tenure
		}
		given, crashed := began(time.Now()), began(time.Time{})
		time.Sleep(absent)
		for _, tenure := range []*tenure{given, given, crashed} {
			tenure.working()
			tenure.end(ErrTermOver)
		}
		got := seriesOf(t, r, "handoff_gap_seconds")
		if want := (series{cause: "transfer", value: absent.Seconds(), count: 1}); len(got) != 1 || got[0] != want {
			t.Errorf("the gaps are %+v, want %+v alone", got, want)
		}
	})
}
