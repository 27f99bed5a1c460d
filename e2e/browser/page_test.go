// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/dashboard/scene"
	"github.com/shardctl/shardctl/pkg/lease"
)

// What Leases say is text to the page, whatever it looks like: names and problems of
// members and shards, pins, holders that are no identities.
func TestHostileTextIsShownAsText(t *testing.T) {
	needChrome(t)
	const hostile = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`
	s := scene.New()
	server := serve(t, s)
	s.Join(hostile, "ann")
	s.Make("a", hostile)
	s.Claim("a", hostile)
	problems, err := json.Marshal(map[string]string{"a": hostile, hostile: hostile})
	if err != nil {
		t.Fatal(err)
	}
	tb := open(t, server.URL, desktop)
	tb.await(t, "the shards are there", `document.querySelectorAll("tr.shard").length === 2`)
	s.Annotate(scene.Member("ann"), lease.AnnotationProblems, string(problems))
	s.Annotate(scene.Shard(hostile), lease.AnnotationPinned, hostile)
	s.HandOver("a", "ann")
	tb.await(t, "the hand-over is told", `document.querySelector('.entry[data-kind="handed-over"]') !== null`)
	for selector, what := range map[string]string{
		"#member-rows": "the members", "#shard-rows": "the shards", "#entries": "the timeline", ".shard.is-held .problem": "the problem",
	} {
		if text := tb.text(t, selector); !strings.Contains(text, hostile) {
			t.Errorf("%s read %q, want the text as it is", what, text)
		}
	}
	if eval[bool](t, tb, `window.pwned !== undefined || document.querySelectorAll("main img, main script").length > 0`) {
		t.Error("the text has become part of the page")
	}
}

// A replica that is gone for a while is noticed, and the page goes on by itself.
func TestLostConnection(t *testing.T) {
	needChrome(t)
	s := scene.New()
	s.Join(pods...)
	beat(t, s, pods...)
	handler := dashboardOf(t, s)
	server := httptest.NewServer(handler)
	defer func() { shut(server) }()
	tb := open(t, server.URL, desktop)
	tb.await(t, "the page is live", `document.body.dataset.connection === "live" && document.querySelectorAll("tr.member").length === 3`)
	eval[int](t, tb, `window.sameDocument = 1`)

	tb.expectLoss()
	address := server.Listener.Addr().String()
	shut(server)
	tb.await(t, "the page says that the connection is lost", `document.body.dataset.connection === "lost"`)
	if text := tb.text(t, "#notice-connection"); !strings.Contains(text, "Connection lost") || !strings.Contains(text, "as it was") {
		t.Errorf("the page says %q", text)
	}
	if text := tb.text(t, "#connection"); !strings.HasPrefix(text, "Reconnecting") || !strings.Contains(text, "since ") {
		t.Errorf("the state is %q", text)
	}
	if opacity := eval[string](t, tb, `getComputedStyle(document.querySelector("main")).opacity`); opacity == "1" {
		t.Error("what is old looks as if it were new")
	}

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server = httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	s.Join("late")
	tb.await(t, "the page is live again, and up to date", `document.body.dataset.connection === "live" && document.querySelectorAll("tr.member").length === 4`)
	if !eval[bool](t, tb, `window.sameDocument === 1 && document.querySelector("#notice-connection").hidden`) {
		t.Error("the page was loaded again, or still says that the connection is lost")
	}
}

// A replica that has as many readers as it takes says so, and the page shows what it
// said until there is a place.
func TestNoPlaceIsLeft(t *testing.T) {
	needChrome(t)
	s := scene.New()
	s.Join("ann")
	server := serve(t, s)
	ctx, leave := context.WithCancel(t.Context())
	var others errgroup.Group
	defer func() {
		leave()
		_ = others.Wait() // that they were cut off is no error
	}()
	for full := false; !full; {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		full = response.StatusCode == http.StatusServiceUnavailable
		others.Go(func() error {
			defer func() { _ = response.Body.Close() }()
			_, err := io.Copy(io.Discard, response.Body)
			return err
		})
	}
	tb := open(t, server.URL, desktop)
	tb.expectLoss()
	tb.await(t, "the page says why", `document.querySelector("#notice-connection").innerText.includes("32 dashboards are open")`)
	leave()
	tb.await(t, "the page is live", `document.body.dataset.connection === "live"`)
}

// A replica that sees nothing any more serves what it has seen, and the page says how
// old that is.
func TestViewThatIsOld(t *testing.T) {
	needChrome(t)
	s := scene.New()
	s.Join("ann")
	s.Make("a")
	s.Claim("a", "ann")
	stop := beat(t, s, "ann")
	tb := open(t, serve(t, s).URL, desktop)
	tb.await(t, "the view is current", `document.body.dataset.view === "current"`)
	stop()
	tb.await(t, "the view is old", `document.body.dataset.view === "old"`)
	if text := tb.text(t, "#notice-view"); !strings.Contains(text, "This view is old") || !strings.Contains(text, "The newest heartbeat it has seen is ") {
		t.Errorf("the page says %q", text)
	}
	if text := tb.text(t, "#tile-shards"); !strings.Contains(text, "1 / 1") {
		t.Errorf("the shards are %q, want them as they were", text)
	}
	beat(t, s, "ann")
	tb.await(t, "the view is current again", `document.body.dataset.view === "current" && document.querySelector("#notice-view").hidden`)
}

// Of a large group a change touches the rows that it is about, and no others.
func TestManyShards(t *testing.T) {
	needChrome(t)
	s := scene.New()
	var many []string
	for i := range 20 {
		many = append(many, fmt.Sprintf("widgets-operator-6d5c9bd4f-%05d", i))
	}
	shards := someShards(family{"widgets.example.com", 1000})
	s.Make(shards...)
	s.Join(many...)
	for i, name := range shards {
		s.Claim(name, many[i%len(many)])
	}
	beat(t, s, many...)
	tb := open(t, serve(t, s).URL, desktop)
	tb.await(t, "all shards are there", `document.querySelectorAll("tr.shard").length === 1000`)
	if got := eval[string](t, tb, `[...document.querySelectorAll("tr.shard")].slice(1, 12).map((r) => r.dataset.shard).join()`); !strings.HasSuffix(got, ".10-of-1000,widgets.example.com.11-of-1000") {
		t.Errorf("the shards are in the order %s", got)
	}
	// What changes in the rows, but for ages, which change by themselves.
	eval[int](t, tb, `(() => {
		window.touched = new Set();
		window.longest = 0;
		new PerformanceObserver((l) => l.getEntries().forEach((e) => { window.longest = Math.max(window.longest, e.duration); })).observe({ type: "longtask" });
		new MutationObserver((all) => all.forEach((m) => {
			const e = m.target.nodeType === Node.TEXT_NODE ? m.target.parentElement : m.target;
			const row = e?.closest("tr.shard");
			if (row && !e.closest(".age")) window.touched.add(row.dataset.shard);
			if (!row && m.addedNodes.length) m.addedNodes.forEach((n) => n.dataset?.shard && window.touched.add(n.dataset.shard));
		})).observe(document.querySelector("#shard-rows"), { subtree: true, childList: true, characterData: true, attributes: true });
		return 1;
	})()`)
	s.HandOver(shards[500], many[3])
	s.Release(shards[700])
	tb.await(t, "the changes are there", `document.querySelector("tr.shard").dataset.shard === "`+shards[700]+`" && document.querySelectorAll(".entry").length === 2`)
	if got := eval[int](t, tb, `window.touched.size`); got != 2 {
		t.Errorf("%d rows were touched by changes of two", got)
	}
	t.Logf("the longest task took %.0f ms", eval[float64](t, tb, `window.longest`))

	tb.typeText(t, "#filter", "00007 99")
	tb.await(t, "the filter leaves some", `document.querySelector("#shards-count").innerText.endsWith(" of 1000")`)
	for _, name := range eval[[]string](t, tb, `[...document.querySelectorAll("tr.shard")].filter((r) => r.checkVisibility()).map((r) => r.innerText)`) {
		if !strings.Contains(name, "00007") || !strings.Contains(name, "99") {
			t.Errorf("the filter leaves %q", name)
		}
	}
}

// All can be done with the keyboard: to filter, to see what needs attention, to see what
// a member holds.
func TestKeyboard(t *testing.T) {
	needChrome(t)
	s := scene.New()
	s.Join("ann", "bob")
	s.Make("a", "b", "c")
	s.Claim("a", "ann")
	s.Claim("b", "bob")
	beat(t, s, "ann", "bob")
	tb := open(t, serve(t, s).URL, desktop)
	tb.await(t, "the shards are there", `document.querySelectorAll("tr.shard").length === 3`)
	shown := func() string {
		return eval[string](t, tb, `[...document.querySelectorAll("tr.shard")].filter((r) => r.checkVisibility()).map((r) => r.dataset.shard).join()`)
	}
	press := func(keys string) {
		t.Helper()
		if err := chromedp.Do(tb.ctx, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}
	if got := shown(); got != "c,a,b" {
		t.Errorf("the shards are %s, want the one that nobody holds first", got)
	}
	// As a key that is pressed: what a page does about that decides whether it is a letter.
	slash := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Text: "/"}
	if _, err := chromedp.Call(tb.ctx, input.DispatchKeyEvent, slash); err != nil {
		t.Fatal(err)
	}
	press("bob")
	if got := shown(); got != "b" {
		t.Errorf("a filter for bob shows %s, want b", got)
	}
	press("\u001b")
	if got := shown(); got != "c,a,b" {
		t.Errorf("without the filter %s are shown, want all", got)
	}
	focus := func(selector string) {
		t.Helper()
		eval[bool](t, tb, `(document.querySelector("`+selector+`").focus(), true)`)
	}
	focus("#attention")
	press(" ")
	if got := shown(); got != "c" {
		t.Errorf("%s need attention, want c", got)
	}
	press(" ")
	focus("tr.member[data-pod=ann] button")
	press(" ")
	if got := shown(); got != "a" {
		t.Errorf("ann has %s, want a", got)
	}
}

// A shard that no member serves any more is there, but no alarm; and a member that reports
// a problem is told of at the top.
func TestWhatIsNoAlarmAndWhatIs(t *testing.T) {
	needChrome(t)
	s := scene.New()
	s.Join("ann")
	s.Make("a", "b")
	s.Claim("b", "ann")
	s.Annotate(scene.Member("ann"), lease.AnnotationServes, "b")
	beat(t, s, "ann")
	tb := open(t, serve(t, s).URL, desktop)
	tb.await(t, "the shards are there", `document.querySelectorAll("tr.shard").length === 2`)
	for selector, want := range map[string]string{
		"#tile-shards": "1 / 1", "#tile-members": "all of them", "#attention-count": "0", "tr.shard[data-shard=a]": "unserved",
	} {
		if got := tb.text(t, selector); !strings.Contains(got, want) {
			t.Errorf("%s reads %q, want %q", selector, got, want)
		}
	}
	if !eval[bool](t, tb, `document.querySelector("#shares .none, .is-unheld, .pill.unheld") === null && !document.title.includes("unheld")`) {
		t.Error("a shard that is unserved is told of as if it were unheld")
	}
	if !eval[bool](t, tb, `document.querySelector(".pill.unserved").getBoundingClientRect().right <= document.querySelector(".is-unserved .nobody").getBoundingClientRect().left - 8`) {
		t.Error("the state reaches into the next column")
	}
	s.Annotate(scene.Member("ann"), lease.AnnotationProblems, `{"-":"the configuration was refused"}`)
	tb.await(t, "the problem is told at the top", `document.querySelector("#tile-members.warn .note")?.innerText === "1 with a problem"`)
	s.Annotate(scene.Member("ann"), lease.AnnotationServes, "a,b")
	tb.await(t, "it is to be held again", `document.querySelector("#tile-shards").innerText.includes("1 / 2") && document.querySelector("tr.shard").matches("[data-shard=a].is-unheld")`)
}

// typeText types into a field.
func (tb *tab) typeText(t *testing.T, selector, text string) {
	t.Helper()
	if err := chromedp.Do(tb.ctx, chromedp.SendKeys(chromedp.CSS(selector), text)); err != nil {
		t.Fatal(err)
	}
}
