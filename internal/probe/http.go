// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

const (
	// maxHeader bounds the header of an answer.
	maxHeader = 64 << 10
	// maxRedirects is how many are followed.
	maxRedirects = 10
)

var errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

// newHTTP makes a probe that has no connection left when it returns: one that is kept open
// may answer for a server that takes no new ones.
func newHTTP(h *HTTP) (Probe, error) {
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, errors.New("http: is not a URL") // err repeats it, and it may hold a password
	}
	client := &http.Client{
		CheckRedirect: sameHost,
		// Its Proxy is nil: what is near is not asked by way of what is far.
		Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader},
	}
	what := "GET " + u.Redacted()
	return func(ctx context.Context) error { return outcome(ctx, what, get(ctx, client, u)) }, nil
}

func get(ctx context.Context, client *http.Client, u *url.URL) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "shardctl-probe")
	answer, err := client.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			return wrapped.Err // the rest repeats method and URL
		}
		return err
	}
	_ = answer.Body.Close() // the status has said it all; a body may have no end
	if answer.StatusCode < http.StatusOK || answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

// sameHost follows a redirect to the same host. One to another host is taken for the answer,
// which is a success: who is asked is well enough to send us elsewhere.
func sameHost(next *http.Request, via []*http.Request) error {
	switch {
	case next.URL.Hostname() != via[0].URL.Hostname():
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return errRedirects
	default:
		return nil
	}
}
