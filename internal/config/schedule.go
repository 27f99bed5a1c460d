// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/shard"
)

// How the file calls deliveries.
const (
	atMostOnce  = "atMostOnce"
	atLeastOnce = "atLeastOnce"
)

var deliveries = map[string]shard.Delivery{atMostOnce: shard.AtMostOnce, atLeastOnce: shard.AtLeastOnce}

// schedule reads what the field schedule of a role has.
func (o *object) schedule(drainTimeout time.Duration) *Schedule {
	s := &Schedule{
		Cron:             o.text("cron", ""),
		TimeZone:         o.text("timeZone", time.UTC.String()),
		StartingDeadline: time.Duration(o.integer("startingDeadlineSeconds", 0, int64(maxDeadline/time.Second))) * time.Second,
		Concurrency:      oneWord(o, "concurrencyPolicy", shard.ForbidConcurrent, shard.AllowConcurrent, shard.ReplaceConcurrent),
		Delivery:         deliveries[oneWord(o, "delivery", atMostOnce, atLeastOnce)],
		Suspend:          o.boolean("suspend", false),
		Grace:            o.grace("grace", DefaultRunGrace, time.Millisecond, drainTimeout),
	}
	o.checkTimes(s.Cron, s.TimeZone)
	s.Action = o.action()
	o.done()
	return s
}

// checkTimes records what is wrong with the times of a schedule.
func (o *object) checkTimes(expression, name string) {
	zone, err := schedule.Zone(name)
	if err != nil {
		o.fail(field.Invalid(o.path.Child("timeZone"), name, err.Error()))
		zone = time.UTC // the rest is to be checked nevertheless
	}
	given := o.fields["cron"]
	switch _, isText := given.(string); {
	case given == nil, given == "":
		o.fail(field.Required(o.path.Child("cron"), `say when, as in "0 2 * * *" for two o'clock every night`))
	case isText:
		if _, err := schedule.ParseCron(expression, zone); err != nil {
			o.fail(field.Invalid(o.path.Child("cron"), expression, err.Error()))
		}
	}
}

// oneWord reads one of some words: the first if it is not there or none of them. The
// latter is recorded.
func oneWord[T ~string](o *object, name string, words ...T) T {
	word := T(o.text(name, string(words[0])))
	if !slices.Contains(words, word) {
		o.fail(field.NotSupported(o.path.Child(name), word, words))
		return words[0]
	}
	return word
}
