// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/status"
)

// brokenHook is a way in which a hook may fail.
type brokenHook struct {
	name    string
	exec    bool          // as a program, else over HTTP
	timeout time.Duration // of the hook; 0 for one that does not matter
	answer  hook
	problem string // what status and log say
	rest    time.Duration
}

// Short, but not for a program to start and a good answer to come.
const shortTimeout = 2 * time.Second

var brokenHooks = []brokenHook{
	{name: "status 500", answer: answerStatus(http.StatusInternalServerError), problem: "status 500"},
	{name: "status 204", answer: answerStatus(http.StatusNoContent), problem: "status 204"},
	{name: "throttled", answer: throttle(2 * time.Second), problem: "status 429", rest: 2 * time.Second},
	{name: "garbage", answer: answerText("<html>"), problem: "not a JSON object"},
	{name: "truncated", answer: answerText(`{"status": {`), problem: "unexpected end"},
	{name: "slow", answer: never, timeout: shortTimeout, problem: "no answer within 2s"},
	{name: "huge", answer: answerHuge, problem: "bytes allowed"},
	{name: "unknown attachment", answer: answerText(`{"attachments": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}]}`), problem: "attachments[0]"},
	{name: "program fails", exec: true, answer: answerStatus(http.StatusInternalServerError), problem: "exit status 1"},
	{name: "program prints garbage", exec: true, answer: answerText("<html>"), problem: "not a JSON object"},
	{name: "program is slow", exec: true, timeout: shortTimeout, answer: never, problem: "no answer within 2s"},
	{name: "program prints too much", exec: true, answer: answerHuge, problem: "too large"},
}

// A hook that fails for one object is asked again about it, with growing pauses, until it recovers. It is no matter for the
// other objects, and there for all to see meanwhile.
func TestHookFails(t *testing.T) {
	t.Parallel()
	const each = 3
	c := newCluster(t)
	good := answerWith(reflectSpec)
	plurals := make([]string, len(brokenHooks))
	for i, b := range brokenHooks {
		plurals[i] = strings.ReplaceAll(b.name, " ", "") + "s"
	}
	types := c.createTypes(t, plurals...)
	hooks := make([]*hookServer, len(brokenHooks))
	roles := make([]role, len(brokenHooks))
	for i, b := range brokenHooks {
		hooks[i] = serveHook(t, good)
		roles[i] = role{resourceType: types[i], hook: b.configuration(hooks[i])}
	}
	d := c.deploy(t, roles...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "alone")
	for _, o := range all {
		o.awaitReconciled(t, each)
	}

	for i, b := range brokenHooks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			o, hook := all[i], hooks[i]
			hook.become(when(named("1"), b.answer, good))
			asked := len(hook.callsFor("1"))
			o.resize(t, each, 1)
			eventually(t, "the other objects are reconciled", func() error {
				return reconciled(slices.DeleteFunc(o.list(t), named("1")), each-1)
			})
			eventually(t, "the hook is asked again and again", func() error { return atLeast(len(hook.callsFor("1"))-asked, 4) })
			b.checkPauses(t, hook.callsFor("1")[asked:])
			d.await(t, "status to show the problem", func(s status.Status) error {
				if problem := problemOf(s, types[i]); !strings.Contains(problem, "1 failing") || !strings.Contains(problem, b.problem) {
					return fmt.Errorf("the problem is %q, not %q", problem, b.problem)
				}
				return nil
			})
			if !b.logged(d.log(t, "alone"), types[i], d.Namespace()) {
				t.Errorf("the log of the replica does not say that %s/1 failed with %q", d.Namespace(), b.problem)
			}

			hook.become(good)
			o.awaitReconciled(t, each)
			d.await(t, "the problem to disappear", noProblem(types[i]))
		})
	}
}

func (b brokenHook) configuration(h *hookServer) map[string]any {
	timeout := hookTimeout
	if b.timeout != 0 {
		timeout = b.timeout
	}
	if b.exec {
		return execHook(h, timeout)
	}
	return webhook(h, timeout)
}

// checkPauses fails the test if the hook was called sooner than it should. (How much later is up to the machine.)
func (b brokenHook) checkPauses(t *testing.T, calls []hookCall) {
	t.Helper()
	const firstPause = 50 * time.Millisecond
	for i, call := range calls[1:] {
		pause, least := call.at.Sub(calls[i].at), b.rest
		if least == 0 {
			least = firstPause << i
		}
		if pause < least {
			t.Errorf("call %d came %s after the one before, want at least %s", i+2, pause, least)
		}
	}
}

// logged tells whether a line of the log is about the failure.
func (b brokenHook) logged(log string, r resourceType, namespace string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, b.problem) && strings.Contains(line, r.shard()) && strings.Contains(line, `key="`+namespace+`/1"`) {
			return true
		}
	}
	return false
}

func answerStatus(code int) hook {
	return func(w http.ResponseWriter, _ *http.Request, _ hookRequest) { w.WriteHeader(code) }
}

func answerText(text string) hook {
	return func(w http.ResponseWriter, _ *http.Request, _ hookRequest) { _, _ = w.Write([]byte(text)) }
}

// throttle asks to be left alone for a while.
func throttle(rest time.Duration) hook {
	return func(w http.ResponseWriter, _ *http.Request, _ hookRequest) {
		w.Header().Set("Retry-After", fmt.Sprint(int(rest.Seconds())))
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// never answers nothing until the caller gives up.
func never(_ http.ResponseWriter, r *http.Request, _ hookRequest) { <-r.Context().Done() }

// answerHuge sends a valid answer of 11 MiB.
func answerHuge(w http.ResponseWriter, _ *http.Request, _ hookRequest) {
	_, _ = w.Write([]byte(`{"status": {"text": "`))
	filler := bytes.Repeat([]byte("x"), 1<<20)
	for range 11 {
		_, _ = w.Write(filler) // the caller may hang up
	}
	_, _ = w.Write([]byte(`"}}`))
}
