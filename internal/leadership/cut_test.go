// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// history is what has become of a role, in the words of events.
type history struct {
	f      *fixture
	events []string
}

func (h *history) addf(format string, args ...any) {
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

// round has this replica lead, and then another. Members come and go.
func (h *history) round(t *testing.T, epoch int32) {
	term := newFakeTerm(epoch, time.Minute)
	ctx, stop := context.WithCancelCause(context.WithValue(context.Background(), termKey{}, term))
	done := make(chan error, 1)
	h.f.leads("leader", self, epoch)
	h.addf("leader leader=a@%d", epoch)
	go func() { done <- h.f.endpoint.Lead("leader")(ctx) }()
	for { // until it was told
		v := h.f.endpoint.journal.look()
		if g := v.grants["leader"]; g != nil && g.term == term {
			break
		}
		time.Sleep(50 * time.Microsecond)
	}
	h.addf("granted leader@%d", epoch)
	h.f.member(lease.MemberJoined, lease.MemberState{Identity: other, Revision: int64(epoch)})
	h.addf("joined %d", epoch)
	h.f.endpoint.journal.catchUp()
	stop(errHandOver)
	h.addf("revoked leader@%d", epoch)
	if err := <-done; err != nil {
		t.Error(err)
	}
	h.f.leads("leader", other, epoch+1)
	h.addf("leader leader=b@%d", epoch+1)
	h.f.member(lease.MemberLeft, lease.MemberState{Identity: other, Revision: int64(epoch)})
	h.addf("left %d", epoch)
}

// historic is what an event is in a history; empty if it is in none.
func historic(t *testing.T, m message) string {
	switch m.name {
	case eventGranted, eventMissed:
		g := decode[roleMessage](t, m.data)
		if (m.name == eventGranted) != g.Leading {
			t.Errorf("%s is told as leading: %t", m.name, g.Leading)
		}
		return fmt.Sprintf("granted %s@%d", g.Role, g.Epoch)
	case eventRevoked, eventLeader:
		return m.text(t)
	case string(lease.MemberJoined), string(lease.MemberLeft):
		return fmt.Sprintf("%s %d", m.name, decode[memberMessage](t, m.data).Revision)
	default:
		return ""
	}
}

// TestReaderThatIsCutHasSeenEverything cuts a reader a hundred times, anywhere in the bytes
// that it gets, while leaders change all the time.
func TestReaderThatIsCutHasSeenEverything(t *testing.T) {
	const cuts = 100
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	f := newFixture(t, Role{Name: "leader", Kind: Leadership})
	f.run(t)
	h := &history{f: f}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		pace := time.NewTicker(500 * time.Microsecond)
		defer pace.Stop()
		for epoch := int32(1); ; epoch += 2 {
			select {
			case <-stop:
				return
			case <-pace.C:
				h.round(t, epoch)
			}
		}
	}()

	var seen []string
	last, resets, cutShort := f.endpoint.journal.id(0), 0, 0
	// read reads some bytes, or up to an event of the history.
	read := func(bytes int64, until string) {
		request, err := http.NewRequest(http.MethodGet, "http://"+f.addr+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Last-Event-ID", last)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() // cuts the connection, for the stream has not ended
		limited := &io.LimitedReader{R: response.Body, N: bytes}
		stream := readEvents(limited)
		for until == "" || len(seen) == 0 || seen[len(seen)-1] != until {
			m, ok := stream.next()
			if !ok {
				break
			}
			if strings.Contains(m.data, `"reset":true`) {
				resets++
			}
			if text := historic(t, m); text != "" {
				seen = append(seen, text)
			}
			last = m.id
		}
		if stream.cut {
			cutShort++
		}
	}
	for range cuts {
		read(random.Int64N(6000), "")
	}
	close(stop)
	<-stopped
	read(1<<30, h.events[len(h.events)-1])

	if resets > 0 {
		t.Errorf("the stream began anew %d times", resets)
	}
	if cutShort == 0 {
		t.Error("no event was cut in its midst: this has tested little")
	}
	if len(h.events) < cuts {
		t.Errorf("only %d events: this has tested little", len(h.events))
	}
	for i := range max(len(seen), len(h.events)) {
		if i >= len(seen) || i >= len(h.events) || seen[i] != h.events[i] {
			t.Fatalf("event %d of %d is not what was seen (%d): %v, %v", i, len(h.events), len(seen), h.events[i:min(i+3, len(h.events))], seen[min(i, len(seen)):min(i+3, len(seen))])
		}
	}
	t.Logf("%d events, %d cuts, %d of them in the midst of one", len(h.events), cuts, cutShort)
}
