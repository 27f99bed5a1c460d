// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// fencedTransport is the local fence (G2): a write is sent only while the term
// in its context is valid, and is cancelled when the term ends. What changes
// nothing passes: see [harmless].
//
// It sits below authentication, right above the connections, so nothing that
// wraps a client can hold a write back once it has passed.
type fencedTransport struct {
	next     http.RoundTripper
	metrics  *metrics
	recorder *recorder
	base     string // what all paths of the API server begin with: see [basePath]
}

// fenced returns a copy of cfg whose clients pass the fence.
func fenced(cfg *rest.Config, m *metrics, r *recorder) *rest.Config {
	own := rest.CopyConfig(cfg)
	base := basePath(cfg)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &fencedTransport{next: next, metrics: m, recorder: r, base: base}
	})
	return own
}

// WrappedRoundTripper lets client-go look through the fence.
func (f *fencedTransport) WrappedRoundTripper() http.RoundTripper { return f.next }

func (f *fencedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if harmless(f.asServed(req)) {
		return f.next.RoundTrip(req)
	}
	term, err := entitled(req.Context())
	if err != nil {
		f.metrics.fenced(err)
		return nil, notSent(req, err)
	}
	if term == nil {
		return f.next.RoundTrip(req)
	}
	return f.send(req, term)
}

// notSent answers for the API server; the body is closed as a RoundTripper must.
func notSent(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return writeError(req, false, err)
}

// writeError says what became of a write.
func writeError(req *http.Request, sent bool, err error) *WriteError {
	e := &WriteError{Method: req.Method, Path: req.URL.Path, Sent: sent, Err: err}
	if term, ok := TermFrom(req.Context()); ok {
		e.Shard, e.Epoch = term.Shard(), term.Epoch()
	}
	return e
}

// answer is what came of a write.
type answer struct {
	resp *http.Response
	err  error
	// sent says that the write may have left this process.
	sent bool
	// unresolved says that it may still be carried out after its answer.
	unresolved bool
}

// send sends a write that the term counts already. A caller that gives up gets
// its error at once, but the write goes on: one that is cancelled may be carried
// out all the same, so the term waits for its outcome before the shard is given
// away (R13). A hand-over by itself makes nobody give up. The end of the term
// cancels the write.
func (f *fencedTransport) send(req *http.Request, term *Term) (*http.Response, error) {
	caller := req.Context()
	ctx, held := whileValid(caller, term)
	answers, abandoned := make(chan answer), make(chan struct{})
	go func() { // ends with the write, which the term waits for
		defer term.answered()
		a := f.exchange(caller, req.WithContext(ctx), term)
		select {
		case answers <- a:
		case <-abandoned:
			held.end()
			if a.err == nil {
				_ = a.resp.Body.Close()
			}
		}
		if a.unresolved {
			f.settle(req, term)
		}
	}()
	gaveUp := caller.Done()
	for {
		select {
		case a := <-answers:
			return deliver(caller, a, held)
		case <-gaveUp:
			if cause := context.Cause(caller); !errors.Is(cause, ErrHandedOver) {
				close(abandoned)
				time.AfterFunc(settleFor, held.end) // an answer that comes later tells nothing more: see settleFor
				return nil, writeError(req, true, fmt.Errorf("its answer was not awaited: %w", cause))
			}
			gaveUp = nil
		}
	}
}

// deliver gives the caller its answer. The fence of the request lasts until its
// body is read, except for a connection that was upgraded: that is a stream of
// the caller's own, opened within the term and not cut with it.
func deliver(caller context.Context, a answer, held *grip) (*http.Response, error) {
	switch {
	case a.err != nil:
		held.end()
		return nil, a.err
	case a.resp.StatusCode == http.StatusSwitchingProtocols:
		held.release()
	default:
		a.resp.Body = bounded(caller, a.resp.Body, held)
	}
	return a.resp, nil
}

// attempt sends a write once.
func (f *fencedTransport) attempt(req *http.Request, term *Term) answer {
	var asked, got atomic.Bool
	trace := &httptrace.ClientTrace{
		GetConn: func(string) { asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { got.Store(true) },
	}
	resp, err := f.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(req.Context(), trace))) //nolint:bodyclose // whoever gets the answer closes it, or send
	if err == nil {
		noteWritten(term, f.asServed(req), resp)
		return answer{resp: resp, sent: true, unresolved: unresolved(resp)}
	}
	// Only a transport that says that it looked for a connection, and found none,
	// has certainly sent nothing.
	sent := got.Load() || !asked.Load()
	if over := context.Cause(req.Context()); over != nil {
		err = writeError(req, sent, fmt.Errorf("%w: %w", over, err))
	}
	return answer{err: err, sent: sent, unresolved: sent}
}

// grip is how the fence holds one write that was sent.
type grip struct {
	unwatch func()
	cancel  context.CancelCauseFunc
}

// release lets go of the write: the end of the term does not cut it any more.
func (g *grip) release() { g.unwatch() }

// end ends the write.
func (g *grip) end() {
	g.unwatch()
	g.cancel(context.Canceled)
}

// whileValid derives the context of one write from that of its caller. It is
// cancelled when the term is over, and not when the caller gives up.
func whileValid(caller context.Context, term *Term) (context.Context, *grip) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(caller))
	return ctx, &grip{cancel: cancel, unwatch: atEnd(term, func() { cancel(ErrTermOver) })}
}

// bounded makes an answer's body end, with the fence of its request, once the
// caller gives up or has read it.
func bounded(caller context.Context, body io.ReadCloser, held *grip) io.ReadCloser {
	unwatch := context.AfterFunc(caller, func() {
		if !errors.Is(context.Cause(caller), ErrHandedOver) {
			held.end()
		}
	})
	return &fencedBody{ReadCloser: body, stop: func() { unwatch(); held.end() }}
}

// fencedBody ends the request's fence together with its answer.
type fencedBody struct {
	io.ReadCloser
	stop func()
}

func (b *fencedBody) Close() error {
	defer b.stop()
	return b.ReadCloser.Close()
}
