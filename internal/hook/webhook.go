// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// maxIdleConns lets as many workers as one replica usually has call the hook over kept connections;
	// Go's default of 2 would have the others connect anew for each call.
	maxIdleConns = 64

	maxHeaderBytes = 64 << 10

	maxRedirects = 10
)

type webhook struct {
	url     string
	target  string // url as errors show it
	timeout time.Duration
	strict  bool
	client  *http.Client
}

func newWebhook(c *Webhook) *webhook {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxIdleConns
	transport.MaxResponseHeaderBytes = maxHeaderBytes
	return &webhook{
		url:     c.target(),
		target:  withoutSecrets(c.target()),
		timeout: timeoutOrDefault(c.Timeout),
		strict:  c.ResponseUnMarshallMode == answersStrict,
		client:  &http.Client{Transport: transport, CheckRedirect: keepPost},
	}
}

func (w *webhook) Close() { w.client.CloseIdleConnections() }

func (w *webhook) Call(ctx context.Context, request, answer any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request to hook %s: %w", w.target, err)
	}
	callCtx, cancel := withTimeout(ctx, w.target, w.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(callCtx, http.MethodPost, w.url, bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("making the request to hook %s: %w", w.target, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "shardctl")
	setHeaders(ctx, req.Header)
	setFiringHeaders(ctx, req.Header)

	resp, err := w.client.Do(req)
	if err != nil {
		return w.broken(ctx, callCtx, "no answer", err)
	}
	defer resp.Body.Close()
	if answer == nil && resp.StatusCode/100 == 2 {
		// The connection is of use again only once all is read: if that is more than a little, it is closed.
		_, _ = io.CopyN(io.Discard, resp.Body, maxExcerptBytes)
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return w.refused(resp, answer == nil)
	}
	// One byte more than is allowed tells an answer that is too large from one that just fits.
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswerBytes+1))
	switch {
	case err != nil:
		return w.broken(ctx, callCtx, "the answer broke off", err)
	case len(body) > MaxAnswerBytes:
		return &Error{Reason: TooLarge, Target: w.target, Detail: fmt.Sprintf("the answer has more than the %d bytes allowed", MaxAnswerBytes)}
	}
	if err := decode(body, answer, w.strict); err != nil {
		return badAnswer(w.target, body, err)
	}
	return nil
}

// broken words the failure of an exchange: the caller gave up, the time was up, or the network failed.
func (w *webhook) broken(ctx, callCtx context.Context, detail string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("calling hook %s: %w", w.target, context.Cause(ctx))
	}
	if callCtx.Err() != nil {
		return context.Cause(callCtx)
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // without the URL, which the Error has already, and which may hold secrets
	}
	return &Error{Reason: Unreachable, Target: w.target, Detail: detail, Err: err}
}

// refused words a status other than 200, or than 2xx if any of those would do.
func (w *webhook) refused(resp *http.Response, any2xx bool) error {
	// What can be read of the body is enough; how reading it ends does not matter.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxExcerptBytes))
	want := "200"
	if any2xx {
		want = "2xx"
	}
	failure := &Error{
		Reason: Failed, Target: w.target, Excerpt: head(body),
		Detail: fmt.Sprintf("status %d %s, want %s", resp.StatusCode, http.StatusText(resp.StatusCode), want),
	}
	if resp.StatusCode == http.StatusTooManyRequests {
		failure.Reason = Throttled
		failure.retryAfter = retryAfter(resp.Header, time.Now())
	}
	return failure
}

// retryAfter reads the Retry-After header, seconds or a date (RFC 9110, 10.2.3). A date is compared with
// the response's own, for the clocks of hook and replica may differ.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		wait = time.Duration(min(seconds, int64(MaxRetryAfter/time.Second))) * time.Second
	} else if until, err := http.ParseTime(value); err == nil {
		if sent, err := http.ParseTime(header.Get("Date")); err == nil {
			now = sent
		}
		wait = until.Sub(now)
	}
	return min(max(wait, 0), MaxRetryAfter)
}

// keepPost follows the redirects that keep the method. The others would call the hook by GET, without the
// request; their status is then the answer, and an error. The request holds a whole object: it does not go
// on in plain text where the configuration says https.
func keepPost(req *http.Request, via []*http.Request) error {
	if req.Method != http.MethodPost {
		return http.ErrUseLastResponse
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirected from https to %s: refused", req.URL.Scheme)
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

func withoutSecrets(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(not a URL)"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
