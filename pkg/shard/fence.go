// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"k8s.io/client-go/rest"
)

// fence is the local fence (G2): a write is sent only while the term in its
// context is valid, and is cancelled when the term ends. Reads and watches
// pass.
type fence struct {
	next    http.RoundTripper
	refused func(error)
}

// fenced returns a copy of cfg whose clients pass the fence.
func fenced(cfg *rest.Config, refused func(error)) *rest.Config {
	own := rest.CopyConfig(cfg)
	own.Wrap(func(next http.RoundTripper) http.RoundTripper { return &fence{next: next, refused: refused} })
	return own
}

// WrappedRoundTripper lets client-go look through the fence.
func (f *fence) WrappedRoundTripper() http.RoundTripper { return f.next }

func (f *fence) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return f.next.RoundTrip(req)
	}
	ctx := req.Context()
	term, ok := TermFrom(ctx)
	if !ok {
		if ctx.Value(unfencedKey) != nil {
			return f.next.RoundTrip(req)
		}
		return nil, f.refuse(req, ErrNoTerm)
	}
	if !term.Valid() || !term.sending() {
		return nil, f.refuse(req, termOver(term))
	}
	if ctx.Err() != nil {
		term.answered()
		return nil, notSent(req, context.Cause(ctx))
	}
	return f.send(req, term)
}

func termOver(t *Term) error {
	return fmt.Errorf("%w: shard %s, epoch %d", ErrTermOver, t.Shard(), t.Epoch())
}

// refuse counts a write that the fence does not let pass.
func (f *fence) refuse(req *http.Request, err error) error {
	f.refused(err)
	return notSent(req, err)
}

// notSent answers for the API server; the body is closed as a RoundTripper must.
func notSent(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return fmt.Errorf("%s %s was not sent: %w", req.Method, req.URL.Path, err)
}

// answer is what came of a write.
type answer struct {
	resp *http.Response
	err  error
}

// send sends a write that the term counts already. A caller that gives up gets
// its error at once, but the write goes on: one that is cancelled may be carried
// out all the same, so the term waits for its answer before the shard is given
// away (R13). A hand-over by itself makes nobody give up. The end of the term
// cancels the write.
func (f *fence) send(req *http.Request, term *Term) (*http.Response, error) {
	caller := req.Context()
	ctx, stop := whileValid(caller, term)
	answers, abandoned := make(chan answer), make(chan struct{})
	go func() { // ends with the write, which the term waits for
		a := f.await(req.WithContext(ctx), term)
		select {
		case answers <- a:
		case <-abandoned:
			stop()
			if a.err == nil {
				_ = a.resp.Body.Close()
			}
		}
	}()
	gaveUp := caller.Done()
	for {
		select {
		case a := <-answers:
			if a.err != nil {
				stop()
				return nil, a.err
			}
			a.resp.Body = bounded(caller, a.resp.Body, stop)
			return a.resp, nil
		case <-gaveUp:
			if cause := context.Cause(caller); !errors.Is(cause, ErrHandedOver) {
				close(abandoned)
				return nil, fmt.Errorf("%s %s was sent, its answer was not awaited: %w", req.Method, req.URL.Path, cause)
			}
			gaveUp = nil
		}
	}
}

// await carries out a write whose outcome counts for the term.
func (f *fence) await(req *http.Request, term *Term) answer {
	defer term.answered()
	resp, err := f.next.RoundTrip(req) //nolint:bodyclose // whoever gets the answer closes it, or send
	if err != nil {
		if over := context.Cause(req.Context()); over != nil {
			err = fmt.Errorf("%w: %w", over, err)
		}
		return answer{err: err}
	}
	noteWritten(term, req, resp)
	return answer{resp: resp}
}

// whileValid derives the context of one write from that of its caller. It is
// cancelled when the term is over, and not when the caller gives up.
func whileValid(caller context.Context, term *Term) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(caller))
	unwatch := term.whenOver(func() { cancel(termOver(term)) })
	return ctx, func() {
		unwatch()
		cancel(context.Canceled)
	}
}

// bounded makes an answer's body end, with the fence of its request, once the
// caller gives up or has read it.
func bounded(caller context.Context, body io.ReadCloser, stop func()) io.ReadCloser {
	unwatch := context.AfterFunc(caller, func() {
		if !errors.Is(context.Cause(caller), ErrHandedOver) {
			stop()
		}
	})
	return &fencedBody{ReadCloser: body, stop: func() { unwatch(); stop() }}
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
