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
	if !term.Valid() {
		return nil, f.refuse(req, fmt.Errorf("%w: shard %s, epoch %d", ErrTermOver, term.Shard(), term.Epoch()))
	}
	bounded, stop := whileValid(ctx, term)
	resp, err := f.next.RoundTrip(req.WithContext(bounded))
	if err != nil {
		if over := context.Cause(bounded); over != nil {
			err = fmt.Errorf("%w: %w", over, err)
		}
		stop()
		return nil, err
	}
	resp.Body = &fencedBody{ReadCloser: resp.Body, stop: stop}
	noteWritten(term, req, resp)
	return resp, nil
}

// refuse answers for the API server; the body is closed as a RoundTripper must.
func (f *fence) refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	f.refused(err)
	return fmt.Errorf("%s %s was not sent: %w", req.Method, req.URL.Path, err)
}

// whileValid derives the context of one write. It is cancelled when the term is
// over, and when the caller gives up, but not when the shard is merely being
// handed over: a write that is under way then is waited for, because one that
// was cancelled may be carried out all the same (R13).
func whileValid(parent context.Context, term *Term) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	unwatchTerm := term.whenOver(func() { cancel(fmt.Errorf("%w: shard %s, epoch %d", ErrTermOver, term.Shard(), term.Epoch())) })
	unwatchCaller := context.AfterFunc(parent, func() {
		if cause := context.Cause(parent); !errors.Is(cause, ErrHandedOver) {
			cancel(cause)
		}
	})
	return ctx, func() {
		unwatchTerm()
		unwatchCaller()
		cancel(context.Canceled)
	}
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
