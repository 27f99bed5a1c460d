// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

func TestEndpointServes(t *testing.T) {
	f := newFixture(t, leaderRole())
	stop := f.run(t)
	response, err := http.Get("http://" + f.addr + "/roles/leader")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" ||
		response.Header.Get("Cache-Control") != "no-store" || decode[roleMessage](t, string(body)).Role != "leader" {
		t.Errorf("got %d %v %s, %v", response.StatusCode, response.Header, body, err)
	}
	stop()
	if again, err := http.Get("http://" + f.addr + "/roles"); err == nil {
		again.Body.Close()
		t.Error("it is served after Run has returned")
	}
}

// TestStreamsEndWithTheEndpoint: the last thing they hear is the end of what is granted.
func TestStreamsEndWithTheEndpoint(t *testing.T) {
	f := newFixture(t, leaderRole())
	stop := f.run(t)
	response, err := http.Get("http://" + f.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stream := readEvents(response.Body)
	d := f.lead(t, "leader", 5)
	var texts []string
	for len(texts) < 3 {
		m, ok := stream.next()
		if !ok {
			t.Fatal("the stream ended")
		}
		if text := m.text(t); text != "beat" && m.name != eventValid {
			texts = append(texts, text)
		}
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	for m, ok := stream.next(); ok; m, ok = stream.next() {
		texts = append(texts, m.text(t))
	}
	expect(t, texts, "snapshot: leader=nobody@0", "leader leader=a@5", "granted leader=a@5 leading", "revoked leader@5")
	d.stop(errHandOver)
}

// TestReaderThatDoesNotReadIsDisconnected, and so learns that what was granted is revoked.
func TestReaderThatDoesNotReadIsDisconnected(t *testing.T) {
	f := newFixture(t, leaderRole())
	f.run(t)
	response, err := http.Get("http://" + f.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	pace := time.NewTicker(50 * time.Microsecond)
	defer pace.Stop()
	for deadline := time.Now().Add(30 * time.Second); len(f.endpoint.streams) > 0; <-pace.C { // more than the kernel takes
		if time.Now().After(deadline) {
			t.Fatal("its stream is still open")
		}
		f.member(lease.MemberJoined, lease.MemberState{Identity: strings.Repeat("x", 2000)})
		f.member(lease.MemberLeft, lease.MemberState{Identity: strings.Repeat("x", 2000)})
	}
	if _, err := io.Copy(io.Discard, response.Body); err == nil {
		t.Error("for the reader it ended as if it were complete")
	}
}

func TestBackendIsAGroup(t *testing.T) {
	g, err := shard.NewGroup(&rest.Config{Host: "http://127.0.0.1:1"}, shard.GroupOptions{Name: "g", Namespace: "ns", Pod: "a"})
	if err != nil {
		t.Fatal(err)
	}
	b := Of(g)
	if s := b.Chronicle().Standing(); s.ID != 0 || len(s.Leaders) != 0 {
		t.Errorf("a group that does not run stands as %+v", s)
	}
	if _, held := b.Holding("leader"); held {
		t.Error("a group that does not run holds a role")
	}
	if _, ok := b.TermFrom(context.Background()); ok {
		t.Error("a context without a term has one")
	}
}
