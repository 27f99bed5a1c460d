// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what a person would see soon.
const patience = 30 * time.Second

// tab is one of the browser, with a profile of its own.
type tab struct {
	ctx  context.Context
	host string // the only one that may be asked for anything

	mu           sync.Mutex
	problems     []string // what the page must not do
	losses       []string // requests that were not answered as they should
	lossExpected bool
}

// screen is what the page is looked at on.
type screen struct {
	width, height int64
	dark, touch   bool
}

var (
	desktop = screen{width: 1360, height: 900}
	dark    = screen{width: 1360, height: 900, dark: true}
	phone   = screen{width: 375, height: 812, touch: true}
)

// open opens a page in a new tab. The test fails if the page has logged an error, or has
// asked another host for anything, until it ends.
func open(t *testing.T, address string, s screen) *tab {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	tb := &tab{host: parsed.Host}
	var cancel context.CancelFunc
	tb.ctx, cancel = chromedp.NewContext(chrome, chromedp.WithNewBrowserContext(), chromedp.WithListener(tb.listen))
	t.Cleanup(func() {
		cancel()
		tb.mu.Lock()
		defer tb.mu.Unlock()
		if !tb.lossExpected {
			tb.problems = append(tb.problems, tb.losses...)
		}
		for _, problem := range tb.problems {
			t.Errorf("the page: %s", problem)
		}
	})
	if err := s.apply(tb.ctx); err != nil {
		t.Fatal(err)
	}
	// What is listened to.
	if _, err := chromedp.Call(tb.ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{log.Enable, runtime.Enable} {
		if _, err := chromedp.Call(tb.ctx, enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := chromedp.Do(tb.ctx, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
	return tb
}

// apply makes the tab look like a screen.
func (s screen) apply(ctx context.Context) error {
	scheme, scale := "light", 1.0
	if s.dark {
		scheme = "dark"
	}
	if s.touch {
		scale = 2
	}
	metrics := emulation.SetDeviceMetricsOverrideParams{Width: s.width, Height: s.height, DeviceScaleFactor: scale, Mobile: s.touch}
	if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, metrics); err != nil {
		return err
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
	return err
}

func (tb *tab) listen(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != tb.host {
			tb.problemf("asks for %s", e.Request.URL)
		}
	case *runtime.EventExceptionThrown:
		tb.problemf("throws: %s: %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			tb.problemf("logs: %s", e.Args[0].Value)
		}
	case *log.EventEntryAdded:
		tb.logged(e.Entry)
	}
}

// logged takes in what the browser itself logs, such as what the page's policy forbids.
func (tb *tab) logged(e *log.Entry) {
	if e.Level != log.EntryLevelError && e.Level != log.EntryLevelWarning {
		return
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	text := fmt.Sprintf("%s: %s (%s)", e.Source, e.Text, e.URL)
	if e.Source == log.EntrySourceNetwork {
		tb.losses = append(tb.losses, text)
	} else {
		tb.problems = append(tb.problems, text)
	}
}

func (tb *tab) problemf(format string, args ...any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.problems = append(tb.problems, fmt.Sprintf(format, args...))
}

// expectLoss says that the replica is out of reach at some time, which browsers log.
func (tb *tab) expectLoss() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.lossExpected = true
}

// eval returns what an expression is in the page.
func eval[T any](t *testing.T, tb *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(tb.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// await waits until an expression holds in the page.
func (tb *tab) await(t *testing.T, what, expression string) {
	t.Helper()
	poll := chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience))
	if _, err := chromedp.Run(tb.ctx, poll); err != nil {
		t.Fatalf("waited %v until %s: %v; the page says\n%s", patience, what, err, tb.text(t, "body"))
	}
}

// text is what a person reads in an element.
func (tb *tab) text(t *testing.T, selector string) string {
	t.Helper()
	return strings.TrimSpace(eval[string](t, tb, fmt.Sprintf("document.querySelector(%q).innerText", selector)))
}
