// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedule

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func parse(t *testing.T, expression, in string) Cron {
	t.Helper()
	c, err := ParseCron(expression, zone(t, in))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// What the clock on the wall skips has no tick, and what it shows twice has two. In
// Berlin it skips 2:00 to 3:00 on March 29th, which is at 1:00 UTC, and shows that twice
// on October 25th; in New York 2:00 to 3:00 on March 8th, at 7:00 UTC, and 1:00 to 2:00
// twice on November 1st, until 6:00 UTC.
func TestTicksWhereClocksAreChanged(t *testing.T) {
	for _, c := range []struct {
		name, cron, zone, from string
		want                   []string // as the clock on the wall shows them, with its distance from UTC
	}{
		{
			"in the hour that is skipped", "30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"right after it", "0 3 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T03:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"},
		},
		{
			"right before it", "59 1 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T01:59:00+01:00", "2026-03-29T01:59:00+01:00", "2026-03-30T01:59:00+02:00"},
		},
		{
			"every hour, across it", "0 * * * *", "Europe/Berlin", "2026-03-28T23:30:00Z",
			[]string{"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
		},
		{
			"every other hour, across it", "0 */2 * * *", "Europe/Berlin", "2026-03-28T22:30:00Z",
			[]string{"2026-03-29T00:00:00+01:00", "2026-03-29T04:00:00+02:00", "2026-03-29T06:00:00+02:00"},
		},
		{
			"in the hour that comes twice", "30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z",
			[]string{"2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"right after that", "0 3 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z",
			[]string{"2026-10-24T03:00:00+02:00", "2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"},
		},
		{
			"every half hour, through that", "*/30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z",
			[]string{
				"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00",
			},
		},
		{
			"every day, begins with the day", "@daily", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		},
		{
			"in the hour that is skipped", "15 2 * * *", "America/New_York", "2026-03-07T05:00:00Z",
			[]string{"2026-03-07T02:15:00-05:00", "2026-03-09T02:15:00-04:00"},
		},
		{
			"every half hour, across it", "*/30 * * * *", "America/New_York", "2026-03-08T06:15:00Z",
			[]string{"2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"},
		},
		{
			"in the hour that comes twice", "0 1 * * *", "America/New_York", "2026-10-31T00:00:00Z",
			[]string{"2026-10-31T01:00:00-04:00", "2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-02T01:00:00-05:00"},
		},
		{
			"right after that", "0 2 * * 0", "America/New_York", "2026-10-25T12:00:00Z",
			[]string{"2026-11-01T02:00:00-05:00", "2026-11-08T02:00:00-05:00"},
		},
		{
			"a period is none of the wall's business", "@every 6h", "Europe/Berlin", "2026-03-28T20:00:00Z",
			[]string{"2026-03-29T01:00:00+01:00", "2026-03-29T08:00:00+02:00", "2026-03-29T14:00:00+02:00"},
		},
	} {
		t.Run(c.zone+", "+c.name, func(t *testing.T) {
			cron, tick := parse(t, c.cron, c.zone), at(t, c.from)
			for i, want := range c.want {
				tick = cron.Next(tick)
				if got := tick.In(zone(t, c.zone)).Format(time.RFC3339); got != want {
					t.Fatalf("tick %d is %s, want %s", i, got, want)
				}
			}
		})
	}
}

// TestTicksAgainstEveryMinute compares the ticks with a model that knows nothing of zones
// but what the clock on the wall shows: it looks at every minute around the changes.
func TestTicksAgainstEveryMinute(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // to be repeated
	field := func(low, high int) string {
		a, b := low+rng.IntN(high-low+1), low+rng.IntN(high-low+1)
		return []string{"*", "*", strconv.Itoa(a), strconv.Itoa(min(a, b)) + "-" + strconv.Itoa(max(a, b)), strconv.Itoa(a) + "," + strconv.Itoa(b), "*/" + strconv.Itoa(a+1)}[rng.IntN(6)]
	}
	for name, days := range map[string][]string{
		"UTC":              {"2026-03-27T00:00:00Z"},
		"Europe/Berlin":    {"2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z"},
		"America/New_York": {"2026-03-06T00:00:00Z", "2026-10-30T00:00:00Z"},
		"Asia/Kolkata":     {"2026-03-27T00:00:00Z"},
	} {
		where := zone(t, name)
		for _, day := range days {
			for range 30 {
				expression := strings.Join([]string{field(0, 59), field(0, 23), "*", "*", field(0, 6)}, " ")
				cron, from := parse(t, expression, name), at(t, day)
				var want, got []time.Time
				for minute := from.Add(time.Minute); !minute.After(from.Add(4 * 24 * time.Hour)); minute = minute.Add(time.Minute) {
					if shows(expression, minute.In(where)) {
						want = append(want, minute)
					}
				}
				for tick := cron.Next(from); !tick.After(from.Add(4 * 24 * time.Hour)); tick = cron.Next(tick) {
					got = append(got, tick)
				}
				if !slices.EqualFunc(got, want, time.Time.Equal) {
					t.Errorf("%q in %s has, after %s, the ticks\n%s, want\n%s", expression, name, day, got, want)
				}
			}
		}
	}
}

// shows tells whether the clock on the wall shows something that the expression names.
func shows(expression string, wall time.Time) bool {
	for i, field := range strings.Fields(expression) {
		value := []int{wall.Minute(), wall.Hour(), wall.Day(), int(wall.Month()), int(wall.Weekday())}[i]
		if !slices.ContainsFunc(strings.Split(field, ","), func(part string) bool { return named(part, value) }) {
			return false
		}
	}
	return true
}

func named(part string, value int) bool {
	number := func(text string) int {
		n, _ := strconv.Atoi(text)
		return n
	}
	if step, stepped := strings.CutPrefix(part, "*/"); stepped {
		return value%number(step) == 0
	}
	if low, high, ranged := strings.Cut(part, "-"); ranged {
		return number(low) <= value && value <= number(high)
	}
	return part == "*" || number(part) == value
}

func TestWhatIsRefused(t *testing.T) {
	for expression, want := range map[string]string{
		"":                          "empty",
		"* * * *":                   "five fields",
		"* * * * * *":               "five fields",
		"0 2 * * 7":                 "five fields",
		"60 * * * *":                "five fields",
		"TZ=UTC 0 2 * * *":          "field of its own",
		"CRON_TZ=UTC 0 2 * * *":     "field of its own",
		" TZ=UTC":                   "field of its own",
		"0 0 30 2 *":                "never fires",
		"0 0 31 4,6,9,11 *":         "never fires",
		"@every 0s":                 "1s or more",
		"@every -1h":                "1s or more",
		"@every 1500ms":             "whole seconds",
		"@every soon":               "@every and a duration",
		"@fortnightly":              "@weekly",
		"@reboot":                   "@weekly",
		"*/0 * * * *":               "five fields",
		"99999999999999999 * * * *": "five fields",
	} {
		if _, err := ParseCron(expression, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", expression, err, want)
		}
	}
	for _, name := range []string{"Local", "local", "Europe/Nowhere", "../etc/passwd"} {
		if _, err := Zone(name); err == nil || !strings.Contains(err.Error(), "Europe/Berlin") {
			t.Errorf("zone %q: %v, want an error that names one", name, err)
		}
	}
}

func TestRareTicks(t *testing.T) {
	for _, c := range []struct{ cron, after, want string }{
		{"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"}, // 2100 has none
		{"0 0 13 * 5", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00Z"}, // the 13th, and any Friday
		{"@yearly", "2026-02-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"@every 1m", "1969-12-31T23:58:30Z", "1969-12-31T23:59:00Z"},
		{"@every 7s", "1970-01-01T00:00:00Z", "1970-01-01T00:00:07Z"},
	} {
		if got := parse(t, c.cron, "").Next(at(t, c.after)); !got.Equal(at(t, c.want)) {
			t.Errorf("after %s %q is at %s, want %s", c.after, c.cron, got, c.want)
		}
	}
	if next := (Cron{}).Next(at(t, "2026-01-01T00:00:00Z")); !next.IsZero() {
		t.Errorf("what was never parsed has a tick at %s", next)
	}
}

// All replicas agree on the ticks of a period, whenever they were started.
func TestPeriodsDoNotDependOnTheStart(t *testing.T) {
	cron := parse(t, "@every 90m", "Europe/Berlin")
	want := at(t, "2026-03-02T10:30:00Z")
	for after := at(t, "2026-03-02T09:00:00Z"); after.Before(want); after = after.Add(7 * time.Minute) {
		if got := cron.Next(after); !got.Equal(want) {
			t.Errorf("after %s comes %s, want %s", after, got, want)
		}
	}
}

// TestBetween compares the ticks of a span with those that are found one by one.
func TestBetween(t *testing.T) {
	for _, expression := range []string{"* * * * *", "*/7 3 * * *", "0 2 1 * *", "@every 1m", "@every 25h", "30 2 * * 0"} {
		cron := parse(t, expression, "Europe/Berlin")
		after := at(t, "2026-02-20T01:02:03Z")
		for _, span := range []time.Duration{0, time.Second, time.Minute, 3 * time.Minute, time.Hour, day, 40 * day} {
			until := after.Add(span)
			var want passed
			for tick := cron.Next(after); !tick.After(until); tick = cron.Next(tick) {
				want = passed{before: want.latest, latest: tick, count: min(want.count+1, countLimit)}
			}
			if got := cron.between(after, until); got != want {
				t.Errorf("%q has in %s: %v, want %v", expression, span, got, want)
			}
		}
	}
}

// On the Chatham Islands clocks are set back from 3:45 to 2:45.
func TestTicksNeverGoBack(t *testing.T) {
	cron := parse(t, "*/5 3 * * *", "Pacific/Chatham")
	tick := at(t, "2026-04-04T12:00:00Z")
	for until := tick.Add(2 * day); tick.Before(until); {
		next := cron.Next(tick)
		if !next.After(tick) {
			t.Fatalf("after %s comes %s", tick, next)
		}
		tick = next
	}
}

// A clock that jumps by thousands of years must hold nothing up.
// counted counts how often the library is asked.
type counted struct {
	cron.Schedule
	asked int
}

func (c *counted) Next(after time.Time) time.Time {
	c.asked++
	return c.Schedule.Next(after)
}

func TestBetweenIsBounded(t *testing.T) {
	// Each tick may take a few questions, where clocks change, and each of two bisections
	// halves less than 2^40 seconds.
	const most = 4 * (countLimit + 2*40)
	for _, expression := range []string{"* * * * *", "0 0 29 2 *", "@every 1s", "59 23 31 12 *", "* * 1 1 *"} {
		schedule := parse(t, expression, "America/New_York")
		library := &counted{Schedule: schedule.fields}
		if schedule.fields != nil {
			schedule.fields = library
		}
		p := schedule.between(earliest, latest)
		if library.asked > most {
			t.Errorf("%q: the library was asked %d times, want %d at most", expression, library.asked, most)
		}
		if !schedule.Next(p.latest).After(latest) || p.latest.After(latest) || !schedule.Next(p.before).Equal(p.latest) {
			t.Errorf("%q has %s and %s as its last", expression, p.before, p.latest)
		}
	}
}

// FuzzParseCron looks for expressions whose ticks do not go on, or never come to an end.
func FuzzParseCron(f *testing.F) {
	for _, expression := range []string{"30 2 * * *", "@every 90s", "0 0 29 2 1-5", "*/5 0-23/2 ? JAN,FEB MON", "@weekly", "TZ=", "@every 9223372036854775807ns"} {
		for _, name := range []string{"", "Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"} {
			f.Add(expression, name, int64(1_293_000_000))
		}
	}
	f.Fuzz(func(t *testing.T, expression, name string, second int64) {
		where, err := Zone(name)
		if err != nil {
			return
		}
		cron, err := ParseCron(expression, where)
		if err != nil {
			return
		}
		tick := sane(time.Unix(second, 0))
		for range 5 {
			next := cron.Next(tick)
			if !next.After(tick) || next.Nanosecond() != 0 || next.Location() != time.UTC {
				t.Fatalf("%q in %s: after %s comes %s", expression, name, tick, next)
			}
			tick = next
		}
	})
}
