// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

const (
	// countLimit bounds how many ticks are counted one by one: a week of minutes. Of more
	// that were passed over, this many are told.
	countLimit = 10_000
	// searchedYears is how far the cron library looks for a tick.
	searchedYears = 5
	// searches is how often it is asked to at most. Between February 29th of 2096 and of
	// 2104 are eight years.
	searches = 4
)

// Cron says when a schedule has its ticks: all at whole seconds. The zero value has none.
type Cron struct {
	every  time.Duration // of "@every"
	fields cron.Schedule // of all others
}

// Zone finds a time zone by its name in the IANA database, like Europe/Berlin; an empty
// name is UTC. The machine's own zone is refused, since replicas may differ in that.
func Zone(name string) (*time.Location, error) {
	if strings.EqualFold(name, time.Local.String()) {
		return nil, fmt.Errorf("%q is not allowed: name the time zone, as in Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not known: use a name of the IANA time zone database, as in Europe/Berlin: %w", name, err)
	}
	return zone, nil
}

// ParseCron reads a cron expression as CronJob does, with the same library: five fields
// (minute, hour, day, month, weekday), a descriptor like @hourly, or @every and a duration.
//
// The ticks of "@every 10m" are the multiples of ten minutes since 1970 began in UTC,
// whatever the zone: so all replicas agree on them, as they would not on "ten minutes after
// the start".
func ParseCron(expression string, zone *time.Location) (Cron, error) {
	expression = strings.TrimSpace(expression)
	if strings.Contains(expression, "TZ=") {
		return Cron{}, fmt.Errorf("%q is not allowed: the time zone has a field of its own", expression)
	}
	const use = "use five fields (minute, hour, day, month, weekday), @hourly, @daily, @weekly, @monthly, @yearly, or @every and a duration"
	parsed, err := cron.ParseStandard(expression)
	if err != nil {
		return Cron{}, fmt.Errorf("%q is not allowed: %w: %s", expression, err, use)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return parseEvery(expression)
	}
	fields.Location = zone
	c := Cron{fields: fields}
	// In 2000 there was a February 29th.
	if c.Next(time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Cron{}, fmt.Errorf("%q is not allowed: it never fires: there is no such day", expression)
	}
	return c, nil
}

// parseEvery reads what the library has accepted, more strictly: it rounds.
func parseEvery(expression string) (Cron, error) {
	every, err := time.ParseDuration(strings.TrimPrefix(expression, "@every "))
	if err == nil && (every < time.Second || every%time.Second != 0) {
		err = errors.New("it takes whole seconds, 1s or more")
	}
	if err != nil {
		return Cron{}, fmt.Errorf("%q is not allowed: %w", expression, err)
	}
	return Cron{every: every}, nil
}

// Next is the first tick after an instant, in UTC; zero if there is none.
func (c Cron) Next(after time.Time) time.Time {
	if c.every > 0 {
		period := int64(c.every / time.Second)
		n := after.Unix() / period
		if after.Unix()%period < 0 {
			n--
		}
		return time.Unix((n+1)*period, 0).UTC()
	}
	if c.fields == nil {
		return time.Time{}
	}
	from := after
	for range searches {
		next := c.fields.Next(from)
		switch {
		case next.IsZero():
			from = from.AddDate(searchedYears, 0, 0)
		case next.After(after):
			return next.UTC()
		default: // the library goes back with clocks that are not set back by whole hours
			from = from.Add(time.Hour)
		}
	}
	return time.Time{}
}

// passed are the ticks of a span of time.
type passed struct {
	// latest is the last of them, before the one before that: zero if there is none.
	before, latest time.Time
	// count is how many there are, countLimit if there are more.
	count int
}

// between finds the ticks after an instant and not after another. The work is bounded,
// however far these are apart.
func (c Cron) between(after, until time.Time) passed {
	if c.every > 0 {
		return c.everyBetween(after, until)
	}
	var p passed
	for tick := c.Next(after); !tick.IsZero() && !tick.After(until); tick = c.Next(tick) {
		if p.count == countLimit {
			p.latest = c.last(p.latest, until)
			p.before = c.last(p.before, p.latest.Add(-time.Second))
			return p
		}
		p.before, p.latest = p.latest, tick
		p.count++
	}
	return p
}

func (c Cron) everyBetween(after, until time.Time) passed {
	first := c.Next(after)
	if first.After(until) {
		return passed{}
	}
	latest := c.Next(until).Add(-c.every)
	p := passed{latest: latest, count: countLimit}
	if n := latest.Unix() - first.Unix(); n < countLimit*int64(c.every/time.Second) {
		p.count = int(n/int64(c.every/time.Second)) + 1
	}
	if p.count > 1 {
		p.before = latest.Add(-c.every)
	}
	return p
}

// last is the latest tick not after an instant, of which one is known that is not: by
// bisection, since the library can only look ahead.
func (c Cron) last(known, until time.Time) time.Time {
	low, high := known.Unix()-1, until.Unix() // the tick after low is not after until, the one after high is
	for high-low > 1 {
		middle := low + (high-low)/2
		if c.Next(time.Unix(middle, 0)).After(until) {
			high = middle
		} else {
			low = middle
		}
	}
	return c.Next(time.Unix(low, 0))
}
