// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"fmt"
	"time"
)

const (
	// MaxRetryAfter caps how long a hook can have itself left alone with Retry-After: a slip of units in a
	// hook must not stop an object's reconciliation for a day.
	MaxRetryAfter = time.Hour

	// maxExcerptBytes bounds what an error repeats of a hook's words, so that it fits a log line, an event
	// and a condition.
	maxExcerptBytes = 512
)

// Reason says in one word why a call failed.
type Reason string

// The reasons of an Error.
const (
	Unreachable Reason = "Unreachable" // no connection, no Service, no such program
	TimedOut    Reason = "TimedOut"    // no whole answer within the timeout
	Throttled   Reason = "Throttled"   // status 429
	Failed      Reason = "Failed"      // any other status than 200, any other exit code than 0
	TooLarge    Reason = "TooLarge"    // an answer of more than MaxAnswerBytes
	BadAnswer   Reason = "BadAnswer"   // an answer that is not the JSON object it should be
)

// Error is a call that failed for a reason that lies with the hook.
type Error struct {
	Reason Reason

	// Target is the hook's URL, without credentials and query, or its program.
	Target string

	// Detail says what happened.
	Detail string

	// Excerpt is the beginning of what a webhook said, the end of what a program wrote to standard error;
	// at most some hundred bytes.
	Excerpt string

	// Err is the error below, if there is one.
	Err error

	retryAfter time.Duration
}

// Error puts it into one line of bounded length.
func (e *Error) Error() string {
	s := fmt.Sprintf("hook %s: %s", e.Target, e.Detail)
	if e.Err != nil {
		s += ": " + head([]byte(e.Err.Error())) // it may repeat names that the hook has chosen
	}
	if e.Excerpt != "" {
		s += fmt.Sprintf(": %q", e.Excerpt)
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// RetryAfter is how long the hook asked to be left alone, at most MaxRetryAfter; 0 if it did not ask.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// head returns the beginning of s, tail its end, cut to what an Error may repeat.
func head(s []byte) string { return string(s[:min(len(s), maxExcerptBytes)]) }
func tail(s []byte) string { return string(s[max(0, len(s)-maxExcerptBytes):]) }
