// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/dashboard/scene"
)

func handlerOf(t *testing.T, s *scene.Scene) http.Handler {
	t.Helper()
	d, err := New(optionsFor(s))
	if err != nil {
		t.Fatal(err)
	}
	return d.Handler()
}

func ask(t *testing.T, h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The page may load its own files and nothing else; all that it names is there.
func TestPage(t *testing.T) {
	h := handlerOf(t, scene.New())
	page := ask(t, h, http.MethodGet, "/")
	if page.Code != http.StatusOK || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("the page is %d, %v", page.Code, page.Header())
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
	} {
		if got := page.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy %q allows what is unsafe", policy)
	}
	queue, seen := []string{"/"}, map[string]bool{}
	named := regexp.MustCompile(`(?:src="|href="|from "\./)([^"#:]+)"`)
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		answer := ask(t, h, http.MethodGet, path)
		if answer.Code != http.StatusOK {
			t.Errorf("%s is %d", path, answer.Code)
		}
		for _, m := range named.FindAllStringSubmatch(answer.Body.String(), -1) {
			next := "/assets/" + strings.TrimPrefix(m[1], "assets/")
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	for pattern := range pages() {
		if pattern != "/{$}" && !seen[pattern] {
			t.Errorf("%s is served, but no page names it", pattern)
		}
	}
}

// Whoever has a file is told so, as long as it is the same.
func TestFilesAreValidated(t *testing.T) {
	h := handlerOf(t, scene.New())
	for _, path := range []string{"/", "/assets/style.css", "/assets/main.js", "/assets/icon.svg"} {
		etag := ask(t, h, http.MethodGet, path).Header().Get("ETag")
		if etag == "" {
			t.Fatalf("%s has no ETag", path)
		}
		if again := ask(t, h, http.MethodGet, path, "If-None-Match", etag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s with its ETag is %d, %d bytes", path, again.Code, again.Body.Len())
		}
		if other := ask(t, h, http.MethodGet, path, "If-None-Match", `"other"`); other.Code != http.StatusOK {
			t.Errorf("%s with another ETag is %d", path, other.Code)
		}
	}
}

func TestWhatIsNotServed(t *testing.T) {
	h := handlerOf(t, scene.New())
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/nothing", http.StatusNotFound},
		{http.MethodGet, "/assets/", http.StatusNotFound},
		{http.MethodGet, "/assets/index.html", http.StatusNotFound},
		{http.MethodGet, "/assets/../page.go", http.StatusTemporaryRedirect}, // to /page.go, which is none
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodPost, "/events", http.StatusMethodNotAllowed},
		{http.MethodHead, "/events", http.StatusOK},
		{http.MethodHead, "/", http.StatusOK},
	} {
		got := ask(t, h, tc.method, tc.path)
		if got.Code != tc.want || tc.method == http.MethodHead && got.Body.Len() > 0 {
			t.Errorf("%s %s is %d with %d bytes, want %d", tc.method, tc.path, got.Code, got.Body.Len(), tc.want)
		}
	}
}

// What Leases say is put into the page as text; nothing there makes HTML of anything,
// or names another host.
func TestScriptsMakeNoHTML(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|eval\(|new Function|https?://|style="|\son[a-z]+="`)
	for path, p := range pages() {
		body := strings.ReplaceAll(string(p.body), "http://www.w3.org/2000/svg", "") // a name, which nobody fetches
		if found := forbidden.FindString(body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	_, err := New(Options{})
	for _, want := range []string{"group: is missing", "namespace: is missing", "leases: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want it to say %q", err, want)
		}
	}
}

// The time limits that a server has for requests and responses do not end a stream.
func TestStreamOutlivesTheServersLimits(t *testing.T) {
	const limit = 100 * time.Millisecond
	s := scene.New()
	d, err := New(optionsFor(s))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running errgroup.Group
	running.Go(func() error { return d.Run(ctx) })
	server := httptest.NewUnstartedServer(d.Handler())
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	defer func() {
		cancel()
		server.Close()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	events := bufio.NewScanner(answer.Body)
	for began := time.Now(); time.Since(began) < 10*limit; { // an update comes after half a second
		s.Join("ann")
		if !events.Scan() {
			t.Fatalf("the stream ended after %v: %v", time.Since(began), cmp.Or(events.Err(), io.EOF))
		}
	}
}
