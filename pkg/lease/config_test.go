// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestPresetsAreValid(t *testing.T) {
	for name, timings := range Presets() {
		if errs := timings.Validate(field.NewPath(name)); len(errs) > 0 {
			t.Error(errs.ToAggregate())
		}
		if bound := timings.ClockRateBound(); bound < minClockRateBound || bound > 2 {
			t.Errorf("%s: clocks may differ by a factor of %.2f", name, bound)
		}
		if timeout := timings.RequestTimeout(); timings.RenewInterval+timeout >= timings.RenewDeadline {
			t.Errorf("%s: a heartbeat that is lost (%s) leaves no time for another", name, timeout)
		}
	}
}

// Other electors may have seen a renewal up to a second before it was sent.
func TestClockRateBoundOfAMode(t *testing.T) {
	timings := Timings{LeaseDuration: 3 * time.Second, RenewDeadline: 1500 * time.Millisecond, RenewInterval: 300 * time.Millisecond}
	for mode, want := range map[Mode]float64{SessionMode: 3 / 1.5, LeaseMode: 2 / 1.5} {
		if got := mode.ClockRateBound(timings); got != want {
			t.Errorf("in mode %s clocks may differ by a factor of %.2f, want %.2f", mode, got, want)
		}
	}
}

func TestModeValidate(t *testing.T) {
	short := Timings{LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RenewInterval: 400 * time.Millisecond}
	for _, test := range []struct {
		mode    Mode
		timings Timings
		want    string // in the message; empty: valid
	}{
		{SessionMode, short, ""},
		{LeaseMode, Fast, ""},
		{LeaseMode, short, `spec.timings.leaseDuration: Invalid value: "2s": use 3s or more in mode lease`},
		{"lock", Fast, `spec.mode: Unsupported value: "lock": supported values: "session", "lease"`},
	} {
		errs := test.mode.Validate(test.timings, field.NewPath("spec"))
		if got := errs.ToAggregate(); test.want == "" && got != nil || test.want != "" && (got == nil || !strings.Contains(got.Error(), test.want)) {
			t.Errorf("mode %q with %v: %v, want %q", test.mode, test.timings, got, test.want)
		}
	}
}

func TestTimingsValidate(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	for _, test := range []struct {
		timings Timings
		want    string // in the message; empty: valid
	}{
		{Timings{15 * s, 9 * s, 3 * s}, ""},
		{Timings{s, 600 * ms, 200 * ms}, ""},
		{Timings{time.Hour, 20 * time.Minute, time.Minute}, ""},
		{Timings{}, "timings.renewInterval"},
		{Timings{15 * s, 9 * s, 99 * ms}, "timings.renewInterval"},
		{Timings{15 * s, 9 * s, -s}, "timings.renewInterval"},
		{Timings{15 * s, 6 * s, 3 * s}, "timings.renewDeadline"},
		{Timings{14 * s, 9 * s, 3 * s}, "timings.leaseDuration"},
		{Timings{15500 * ms, 9 * s, 3 * s}, "timings.leaseDuration"},
		{Timings{2 * time.Hour, 9 * s, 3 * s}, "timings.leaseDuration"},
	} {
		got := test.timings.Validate(field.NewPath("timings")).ToAggregate()
		if (got == nil) != (test.want == "") || got != nil && !strings.Contains(got.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.timings, got, test.want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{
		Group: "g", Namespace: "default", Timings: Default, Assign: func(Snapshot) Plan { return nil },
		Replica: Replica{Pod: "a", UID: "u", Container: "main", Boot: "b"},
		Shards:  specs("s1", "widgets.example.com", "widgets.example.com.4-of-4"),
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"good", func(*Config) {}, ""},
		{"no Pod", func(c *Config) { c.Replica.UID = "" }, ""},
		{"no group", func(c *Config) { c.Group = "" }, "group"},
		{"group with a dot", func(c *Config) { c.Group = "g.h" }, "group"},
		{"namespace", func(c *Config) { c.Namespace = "De fault" }, "namespace"},
		{"timings", func(c *Config) { c.Timings.RenewInterval = 0 }, "timings.renewInterval"},
		{"no assignment", func(c *Config) { c.Assign = nil }, "assign"},
		{"cooldown", func(c *Config) { c.Cooldown = -1 }, "cooldown"},
		{"stagger", func(c *Config) { c.Stagger = -1 }, "stagger"},
		{"Pod name", func(c *Config) { c.Replica.Pod = "a_b" }, "replica"},
		{"boot nonce", func(c *Config) { c.Replica.Boot = "" }, "replica"},
		{"container", func(c *Config) { c.Replica.Container = "x.y" }, "replica"},
		{"shard without a name", func(c *Config) { c.Shards = specs("s1", "") }, "shards[1].name"},
		{"shard twice", func(c *Config) { c.Shards = specs("s1", "s1") }, "shards[1].name"},
		{"shard with a bad name", func(c *Config) { c.Shards = specs("S1") }, "shards[0].name"},
		{"shard with a long name", func(c *Config) { c.Shards = specs(strings.Repeat("s", 253)) }, "shards[0].name"},
		{"shard with the layout's name", func(c *Config) { c.Shards = specs("layout.shardctl.dev") }, "shards[0].name"},
		{"shard with the name of a bucket", func(c *Config) { c.Shards = specs("widgets.example.com.3-of-4") }, "shards[0].name"},
		{"buckets", func(c *Config) { c.Shards[0].Buckets = MaxBuckets }, ""},
		{"too many buckets", func(c *Config) { c.Shards[1].Buckets = MaxBuckets + 1 }, "shards[1].buckets"},
		{"fewer than no buckets", func(c *Config) { c.Shards[1].Buckets = -1 }, "shards[1].buckets"},
		{"a long name and that of a bucket", func(c *Config) {
			c.Shards = []ShardSpec{{Name: strings.TrimSuffix(strings.Repeat(strings.Repeat("s", 60)+".", 4), "."), Buckets: 100}}
		}, "shards[0].name"},
		{"partition", func(c *Config) { c.Shards[1].Partition = "name" }, "shards[1].partition"},
		{"target", func(c *Config) { c.TargetReplicas = -1 }, "targetReplicas"},
		{"shard with a member's name", func(c *Config) { c.Shards = specs("member-u.main") }, "shards[0].name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := good
			cfg.Shards = slices.Clone(good.Shards)
			test.change(&cfg)
			_, err := NewElection(cfg)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// specs are the shards of these names.
func specs(names ...string) []ShardSpec {
	var specs []ShardSpec
	for _, name := range names {
		specs = append(specs, ShardSpec{Name: name})
	}
	return specs
}
