// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// What the replicas of these tests share.
const (
	groupName = "widgets-operator"
	typeName  = "widgets.browser.shardctl.dev"
	buckets   = 6
	allHeld   = "6 / 6"
)

// The page of a replica on a real control plane, through what a group goes through.
func TestReplicas(t *testing.T) {
	needChrome(t)
	plane := controlplane.Start(t, controlplane.Options{})
	binary, err := fleet.Build(t.Context(), fleet.BuildOptions{Dir: plane.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	f := fleet.Start(t, fleet.Options{Cluster: plane, Binary: binary, Config: configuration(t), CRDs: widgets(), LayoutRecord: true})
	for _, name := range []string{"one", "two", "three"} {
		if _, err := f.Launch(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	await(t, f, "three replicas to share the shards", fleet.All(fleet.Spread(buckets, 3), fleet.Healthy))
	page := addressOf(t, f, "one")
	tb := open(t, page, desktop)
	eval[int](t, tb, `window.sameDocument = 1`)

	t.Run("shows what shardctl status does", func(t *testing.T) { testSameAsStatus(t, f, tb) })
	t.Run("fits a phone", func(t *testing.T) { testRealPhone(t, page) })
	t.Run("a replica is killed", func(t *testing.T) { testKill(t, f, tb) })
	t.Run("a shard is moved", func(t *testing.T) { testMove(t, f, tb) })
	t.Run("the API server does not answer", func(t *testing.T) { testAPIServerHangs(t, plane, f, tb) })
	t.Run("a replica leaves", func(t *testing.T) { testReplicaLeaves(t, f, tb) })
	if !eval[bool](t, tb, `window.sameDocument === 1`) {
		t.Error("the page was loaded again")
	}
	t.Run("the replica ends", func(t *testing.T) { testReplicaEnds(t, f, tb) })
}

// table is what the page shows: of each member its shards, of each shard its holder.
const table = `Object.fromEntries([
	...[...document.querySelectorAll("tr.member")].map((r) => ["member " + r.dataset.pod, [...r.cells].slice(1, 4).map((c) => c.innerText.trim().split("\n")[0]).filter((_, i) => i !== 1).join(" ")]),
	...[...document.querySelectorAll("tr.shard")].map((r) => ["shard " + r.dataset.shard, [...r.cells].slice(1, 4).map((c) => c.innerText.trim()).join(" ")]),
])`

// testSameAsStatus compares what a person reads on the page with what the command prints.
func testSameAsStatus(t *testing.T, f *fleet.Fleet, tb *tab) {
	out, err := f.Command(t.Context(), "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var s status.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, m := range s.Members {
		want["member "+m.Pod] = fmt.Sprintf("ready %d", m.Shards)
	}
	for _, sh := range s.Shards {
		want["shard "+sh.Name] = fmt.Sprintf("%s %s %d", sh.State, status.PodOf(sh.Holder), sh.Epoch)
	}
	if len(want) != 3+buckets {
		t.Fatalf("shardctl status says %v", want)
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	tb.await(t, "the page shows the same", fmt.Sprintf(`(() => {
		const [shown, wanted] = [%s, %s];
		return Object.keys(shown).length === Object.keys(wanted).length && Object.entries(wanted).every(([what, is]) => shown[what] === is);
	})()`, table, wanted))
	for selector, want := range map[string]string{"#group": groupName, "#self": "one", "#tile-members": "3 / 3", "#tile-shards": allHeld, "#connection": "Live"} {
		if got := tb.text(t, selector); !strings.Contains(got, want) {
			t.Errorf("%s reads %q, want %q", selector, got, want)
		}
	}
}

func testRealPhone(t *testing.T, address string) {
	small := open(t, address, phone)
	small.await(t, "all rows are there", fmt.Sprintf(`document.querySelectorAll("tr.shard").length === %d`, buckets))
	if got := eval[int64](t, small, `document.documentElement.scrollWidth`); got > phone.width {
		t.Errorf("the page is %d wide on a screen of %d", got, phone.width)
	}
}

// testKill kills a replica: others take its shards over, and the timeline tells of both.
func testKill(t *testing.T, f *fleet.Fleet, tb *tab) {
	s, err := f.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	orphans := len(fleet.ShardsOf(s, "two"))
	if err := f.Replica("two").Kill(); err != nil {
		t.Fatal(err)
	}
	tb.await(t, "its session is told to be over", `document.querySelector('.entry.of-member:is([data-kind="lapsed"], [data-kind="ended"])')?.innerText.includes("two") ?? false`)
	tb.await(t, "all is held by others", fmt.Sprintf(
		`[...document.querySelectorAll("tr.shard")].filter((r) => /held (one|three)/.test(r.innerText.replace(/\s+/g, " "))).length === %d`, buckets))
	took := fmt.Sprintf(`[...document.querySelectorAll('.entry[data-kind="taken-over"][data-from="two"]')].reduce((n, e) => n + (e.querySelectorAll("li").length || 1), 0) === %d`, orphans)
	tb.await(t, "the timeline tells of each take-over", took)
	if text := tb.text(t, `.entry[data-kind="taken-over"]`); !strings.Contains(text, "two") || !strings.Contains(text, "taken over") {
		t.Errorf("the timeline says %q", text)
	}
	if text := tb.text(t, "#tile-members"); !strings.Contains(text, "2 / 2") && !strings.Contains(text, "2 / 3") {
		t.Errorf("members ready: %q", text)
	}
}

// testMove has an operator move a shard.
func testMove(t *testing.T, f *fleet.Fleet, tb *tab) {
	s := await(t, f, "two replicas to share the shards", fleet.Spread(buckets, 2))
	shard := fleet.ShardsOf(s, "three")[0]
	if _, err := f.Command(t.Context(), "move", shard, "one"); err != nil {
		t.Fatal(err)
	}
	row := fmt.Sprintf(`document.querySelector('tr.shard[data-shard="%s"]').innerText`, shard)
	tb.await(t, "it is held where it is pinned to", row+`.includes("pinned") && `+row+`.includes("one")`)
	tb.await(t, "the hand-over is told", fmt.Sprintf(
		`[...document.querySelectorAll('.entry[data-kind="handed-over"][data-from="three"][data-to="one"]')].some((e) => e.innerText.includes(%q))`, shard))
}

// testAPIServerHangs stops the API server: the page says that its view is old, and shows
// the group as it was, until the API server goes on.
func testAPIServerHangs(t *testing.T, plane *controlplane.ControlPlane, f *fleet.Fleet, tb *tab) {
	pid := plane.PIDs()["kube-apiserver"]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}
	stopped := true
	defer func() {
		if stopped {
			resume()
		}
	}()
	tb.await(t, "the page says that its view is old", `document.body.dataset.view === "old" && document.querySelector("#notice-view").innerText.includes("cut off from the API server")`)
	if text := tb.text(t, "#tile-shards"); !strings.Contains(text, allHeld) {
		t.Errorf("shards held: %q, want them as they were", text)
	}
	resume()
	stopped = false
	tb.await(t, "the view is current again", `document.body.dataset.view === "current" && document.querySelector("#notice-view").hidden`)
	await(t, f, "two replicas to share the shards", fleet.Held(buckets))
	tb.await(t, "all is held", `document.querySelector("#tile-shards").innerText.includes("`+allHeld+`")`)
}

// testReplicaLeaves has a replica leave, as when its Pod is deleted: that is told as what it
// is, however fast it was.
func testReplicaLeaves(t *testing.T, f *fleet.Fleet, tb *tab) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if exit, err := f.Replica("three").Terminate(ctx); err != nil || exit.Code != 0 {
		t.Fatalf("the replica ended with %d: %v", exit.Code, err)
	}
	ofThree := func(kinds string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('.entry.of-member:is(%s)')].some((e) => e.querySelector(".subject").innerText === "three")`, kinds)
	}
	tb.await(t, "it is told that it left", ofThree(`[data-kind="left"]`))
	if eval[bool](t, tb, ofThree(`[data-kind="vanished"], [data-kind="ended"], [data-kind="lapsed"]`)) {
		t.Error("the timeline tells of a loss")
	}
	if eval[bool](t, tb, `document.querySelector('.entry[data-kind="taken-over"][data-from="three"]') !== null`) {
		t.Error("the timeline tells of a take-over")
	}
}

// testReplicaEnds ends the replica that serves the page.
func testReplicaEnds(t *testing.T, f *fleet.Fleet, tb *tab) {
	tb.expectLoss()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	exit, err := f.Replica("one").Terminate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if exit.Code != 0 {
		t.Errorf("the replica ended with %d", exit.Code)
	}
	tb.await(t, "the page says that the connection is lost", `document.body.dataset.connection === "lost" && document.querySelector("#notice-connection").innerText.includes("Connection lost")`)
}

func await(t *testing.T, f *fleet.Fleet, what string, is fleet.Condition) status.Status {
	t.Helper()
	s, err := f.WaitFor(t.Context(), 2*time.Minute, what, is)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// addressOf is where a replica serves its page.
func addressOf(t *testing.T, f *fleet.Fleet, name string) string {
	t.Helper()
	address, err := f.Replica(name).HTTPAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address + "/"
}

// configuration of the group: one type in pieces, of which there are no objects.
func configuration(t *testing.T) []byte {
	t.Helper()
	resource, group, _ := strings.Cut(typeName, ".")
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "shardctl.dev/v1alpha1",
		"kind":       "Configuration",
		"metadata":   map[string]any{"name": groupName},
		"spec": map[string]any{
			"namespace": groupName,
			"timings":   map[string]any{"preset": "fast"},
			"http":      map[string]any{"address": "127.0.0.1:0"},
			"roles": []any{map[string]any{
				"name": "widgets", "buckets": buckets,
				"decorator": map[string]any{
					"resources": []any{map[string]any{"apiVersion": group + "/v1", "resource": resource}},
					"hooks":     map[string]any{"sync": map[string]any{"exec": map[string]any{"command": []any{os.Args[0]}}}},
				},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func widgets() []*unstructured.Unstructured {
	resource, group, _ := strings.Cut(typeName, ".")
	return []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": typeName},
		"spec": map[string]any{
			"group": group,
			"scope": "Namespaced",
			"names": map[string]any{"kind": "Widget", "plural": resource, "singular": "widget"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	}}}
}
