// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package netproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

func TestConnectionIsCarried(t *testing.T) {
	n := startNetwork(t)
	for range 3 {
		n.exchange(t)
	}
	if got := n.Opened(); got != 3 {
		t.Errorf("%d connections were opened, want 3", got)
	}
}

func TestEachDirectionEndsByItself(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	client.send("all I have to say")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	server.expect("all I have to say")
	server.expectEnd()
	server.send("answer")
	client.expect("answer")
	server.Close()
	client.expectEnd()
}

func TestServerThatIsNotThere(t *testing.T) {
	n := startNetwork(t)
	n.server.Close()
	n.dial(t).expectEnd()
}

func TestTargetWithoutPortIsRefused(t *testing.T) {
	if p, err := Start("127.0.0.1"); err == nil {
		t.Errorf("a proxy was started: %v", p.Close())
	}
}

func TestCut(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	exchange(t, client, server)
	n.Cut()
	client.expectEnd()
	server.expectEnd()
	n.exchange(t)
}

func TestRefuse(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	exchange(t, client, server)
	n.Refuse(true)
	n.dial(t).expectEnd()
	exchange(t, client, server)
	if got := n.Opened(); got != 1 {
		t.Errorf("%d connections were opened, want 1: a refused one does not count", got)
	}
	n.Refuse(false)
	n.exchange(t)
	n.Refuse(true)
	n.Heal()
	n.exchange(t)
}

func TestHold(t *testing.T) {
	for _, test := range []struct {
		name             string
		up, down         bool
		existing, others bool // which connections are held: one from before, one made afterwards
		hold             func(p *Proxy, up, down bool)
	}{
		{"requests", true, false, true, true, (*Proxy).Hold},
		{"answers", false, true, true, true, (*Proxy).Hold},
		{"everything", true, true, true, true, (*Proxy).Hold},
		{"nothing", false, false, true, true, (*Proxy).Hold},
		{"requests of existing connections", true, false, true, false, (*Proxy).HoldExisting},
		{"answers of existing connections", false, true, true, false, (*Proxy).HoldExisting},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := startNetwork(t)
			client, server := n.connect(t)
			exchange(t, client, server)
			test.hold(n.Proxy, test.up, test.down)
			laterClient, laterServer := n.connect(t)
			for _, direction := range []struct {
				from, to end
				held     bool
			}{
				{client, server, test.up && test.existing},
				{server, client, test.down && test.existing},
				{laterClient, laterServer, test.up && test.others},
				{laterServer, laterClient, test.down && test.others},
			} {
				direction.from.send("hello")
				if direction.held {
					direction.to.expectSilence()
					defer direction.to.expect("hello")
				} else {
					direction.to.expect("hello")
				}
			}
			n.Heal()
		})
	}
}

func TestHoldReplacesTheFormerHold(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	n.Hold(true, false)
	client.send("request")
	n.Hold(false, true)
	server.expect("request")
	server.send("answer")
	client.expectSilence()
	n.Hold(false, false)
	client.expect("answer")
}

// This is how a write that its sender has given up is committed late.
func TestWhatWasHeldUpArrivesAfterItsSenderHasGone(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	n.Hold(true, true)
	client.send("request")
	client.Close()
	server.expectSilence()
	n.Heal()
	server.expect("request")
	server.expectEnd()
}

// The client's end has gone while answers were still on their way: what it has sent arrives all the same.
func TestAnswersToNobodyHoldUpNothing(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	exchange(t, client, server)
	n.Hold(true, false)
	client.send("request")
	client.Close()
	for range 3 { // the first is answered by a reset, which the others meet
		server.send("answer")
		server.expectSilence()
	}
	n.Heal()
	server.expect("request")
	server.expectEnd()
}

func TestSenderWaitsWhenTooMuchIsHeldUp(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	n.Hold(true, false)
	sent := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{}).Read(sent)
	if err := client.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	written, err := client.Write(sent)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes were taken, error %v; want it to wait", written, err)
	}
	n.Heal()
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	server.deadline(patience)
	got, err := io.ReadAll(server)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, sent[:written]) {
		t.Errorf("%d bytes arrived, want the same %d that were sent", len(got), written)
	}
}

func TestDelay(t *testing.T) {
	const delay = 20 * time.Millisecond
	n := startNetwork(t)
	client, server := n.connect(t)
	n.Delay(delay)
	began := time.Now()
	client.send("one ")
	client.send("two")
	server.expect("one two")
	if took := time.Since(began); took < delay {
		t.Errorf("the request took %v, want %v or more", took, delay)
	}
	server.send("answer")
	server.Close()
	client.expect("answer")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("the round trip took %v, want %v or more", took, 2*delay)
	}
	client.expectEnd()
}

func TestWhatIsDelayedArrivesAtOnceWhenTheDelayEnds(t *testing.T) {
	for name, end := range map[string]func(*Proxy){
		"no delay": func(p *Proxy) { p.Delay(0) },
		"heal":     (*Proxy).Heal,
	} {
		t.Run(name, func(t *testing.T) {
			n := startNetwork(t)
			client, server := n.connect(t)
			n.Delay(time.Hour)
			client.send("request")
			server.expectSilence()
			end(n.Proxy)
			server.expect("request")
		})
	}
}

func TestSwallow(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	exchange(t, client, server)
	n.Swallow()
	laterClient, laterServer := n.connect(t)
	for _, c := range []struct{ client, server end }{{client, server}, {laterClient, laterServer}} {
		c.client.send("request")
		c.server.expect("request")
		c.server.send("answer")
		c.client.expectSilence()
	}
	n.Heal()
	client.expectEnd()
	laterClient.expectEnd()
	n.exchange(t)
}

// That the server has closed the connection is an answer, too.
func TestSwallowConcealsTheEnd(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	n.Swallow()
	server.Close()
	client.expectSilence()
	n.Heal()
	client.expectEnd()
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	n := startNetwork(t)
	n.mu.Lock()
	for range maxLinks {
		_, idle := net.Pipe()
		n.links[&link{cancel: func() {}, client: idle}] = struct{}{}
	}
	n.mu.Unlock()
	n.dial(t).expectEnd()
}

func TestFinishedConnectionsAreForgotten(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	client.Close()
	server.expectEnd()
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for tick := time.NewTicker(time.Millisecond); ; {
		n.mu.Lock()
		links := len(n.links)
		n.mu.Unlock()
		if links == 0 {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d connections are left, want none", links)
		}
	}
}

// That nothing is left is what goleak looks for.
func TestCloseUnderDisturbance(t *testing.T) {
	for name, disturb := range map[string]func(*Proxy){
		"nothing":   func(*Proxy) {},
		"held up":   func(p *Proxy) { p.Hold(true, true) },
		"delayed":   func(p *Proxy) { p.Delay(time.Hour) },
		"swallowed": (*Proxy).Swallow,
	} {
		t.Run(name, func(t *testing.T) {
			n := startNetwork(t)
			client, server := n.connect(t)
			disturb(n.Proxy)
			client.send("request")
			server.send("answer")
			for range 2 {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
			server.deadline(patience)
			if _, err := io.Copy(io.Discard, server); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection to the server is still open")
			}
			if conn, err := net.Dial("tcp", n.Addr()); err == nil {
				conn.Close()
				t.Error("a connection was accepted afterwards")
			}
		})
	}
}

// Everything at once, for the race detector, and no byte may be lost by what loses none.
func TestDisturbancesFromSeveralGoroutines(t *testing.T) {
	n := startNetwork(t)
	client, server := n.connect(t)
	var disturbing sync.WaitGroup
	for _, disturb := range []func(i int){
		func(i int) { n.Hold(i%2 == 0, i%3 == 0) },
		func(i int) { n.HoldExisting(i%3 == 0, i%2 == 0) },
		func(i int) { n.Delay(time.Duration(i%3) * time.Millisecond) },
		func(i int) { n.Refuse(i%2 == 0) },
		func(int) { n.Opened() },
	} {
		disturbing.Go(func() {
			for i := range 100 {
				disturb(i)
			}
		})
	}
	for range 100 {
		client.send("request")
	}
	disturbing.Wait()
	n.Heal()
	for range 100 {
		server.expect("request")
	}
	exchange(t, client, server)
}
