// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestStreamBeginsWithASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole(), scheduleRole())
		f.member(lease.MemberJoined, lease.MemberState{Identity: self})
		f.leads("nightly", other, 7)
		f.lead(t, "leader", 5)
		synctest.Wait()
		s := f.open(t, "", "")
		if got := s.header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("the content is %q", got)
		}
		if !strings.HasPrefix(s.body.String(), "retry: 1000\n\n") {
			t.Errorf("it begins with %q", s.body.String())
		}
		expect(t, s.got(t), "snapshot: leader=a@5 leading, nightly=b@7, a")
	})
}

func TestNothingComesBeforeTheFirstSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		f.leads("leader", other, 4)
		synctest.Wait()
		s := f.open(t, "", "", func(r *reader) { r.meets = func() { f.leads("leader", other, 5) } })
		expect(t, s.got(t), "snapshot: leader=b@4", "leader leader=b@5")
	})
}

func TestStreamOfSomeRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole(), scheduleRole())
		s := f.open(t, "?role=nightly", "")
		f.lead(t, "leader", 5)
		f.leads("nightly", other, 7)
		f.member(lease.MemberJoined, lease.MemberState{Identity: other})
		synctest.Wait()
		expect(t, s.got(t), "snapshot: nightly=nobody@0", "leader nightly=b@7", "joined b")
	})
}

func TestTypesAreNoRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.leads("widgets.example.com", other, 7)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0")
	})
}

func TestRolesThatComeAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		f.leads("nightly", other, 7)
		s := f.open(t, "", "")
		f.configure(leaderRole(), scheduleRole())
		time.Sleep(heartbeat) // whoever looks next takes it over
		synctest.Wait()
		f.configure(leaderRole())
		time.Sleep(heartbeat)
		f.leads("nightly", self, 8)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0", "leader nightly=b@7")
	})
}

func TestHeartbeatsSayForHowLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole(), Role{Name: "another", Kind: Leadership})
		all, one := f.open(t, "", ""), f.open(t, "?role=another", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		all.got(t)
		one.got(t)
		texts := func(s *reader) (texts []string) {
			for _, m := range s.messages() {
				texts = append(texts, m.text(t))
			}
			return texts
		}
		time.Sleep(heartbeat)
		synctest.Wait()
		expect(t, texts(all), "valid leader@5 for 59")
		expect(t, texts(one), "beat")
		if all.last != one.last || all.last != f.endpoint.journal.id(f.endpoint.journal.last) {
			t.Errorf("the readers are at %s and %s", all.last, one.last)
		}
		d.term.extend(90 * time.Second)
		time.Sleep(heartbeat)
		synctest.Wait()
		expect(t, texts(all), "valid leader@5 for 89")
		d.stop(errHandOver)
		time.Sleep(heartbeat)
		synctest.Wait()
		expect(t, texts(all), "revoked leader@5", "beat")
	})
}

func TestStreamGoesOnAfterTheLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0", "leader leader=a@5", "granted leader=a@5 leading")
		s.leave()
		d.stop(errHandOver)
		f.leads("leader", other, 6)
		f.member(lease.MemberJoined, lease.MemberState{Identity: other})
		synctest.Wait()
		missed := []string{"revoked leader@5", "leader leader=b@6", "joined b", "snapshot: leader=b@6, b"}
		expect(t, f.open(t, "", s.last).got(t), missed...)
		expect(t, f.open(t, "?lastEventId="+s.last, "").got(t), missed...)
		expect(t, f.open(t, "?lastEventId=x", s.last).got(t), missed...)
	})
}

func TestWhatWasGrantedBeforeACutIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.lead(t, "leader", 5)
		synctest.Wait()
		s.got(t)
		s.leave()
		expect(t, f.open(t, "", s.last).got(t), "snapshot: leader=a@5 leading")
	})
}

func TestGrantsThatAreOverAreMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		s.got(t)
		s.leave()
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.stop(errHandOver)
		time.Sleep(leaderRole().Grace)
		f.lead(t, "leader", 6)
		synctest.Wait()
		expect(t, f.open(t, "", s.last).got(t), "leader leader=a@5", "missed leader=a@5", "revoked leader@5",
			"leader leader=a@6", "granted leader=a@6 leading", "snapshot: leader=a@6 leading")
	})
}

func TestUnknownEventsBeginAnew(t *testing.T) {
	for name, id := range map[string]string{
		"of another process": "abcdefghij-0", "without a number": "abcdefghij", "none": "hello, world", "empty": "-",
		"of the future": "BOOT-99", "of this process, without a number": "BOOT-", "negative": "BOOT--1", "huge": "BOOT-99999999999999999999",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := watched(t, leaderRole())
				f.leads("leader", other, 4)
				synctest.Wait()
				s := f.open(t, "", strings.ReplaceAll(id, "BOOT", f.endpoint.journal.boot))
				f.leads("leader", other, 5)
				synctest.Wait()
				expect(t, s.got(t), "snapshot reset: leader=b@4", "leader leader=b@5")
			})
		})
	}
}

func TestRestartBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.leads("leader", other, 4)
		synctest.Wait()
		s.got(t)
		g := watched(t, leaderRole()) // the same replica, as its next process
		g.leads("leader", other, 4)
		g.leads("leader", other, 5)
		expect(t, g.open(t, "", s.last).got(t), "snapshot reset: leader=b@5")
	})
}

func TestForgottenEventsBeginAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		s.got(t)
		s.leave()
		for epoch := range int32(maxEvents) {
			f.leads("leader", other, epoch+1)
		}
		synctest.Wait()
		back := f.open(t, "", s.last).got(t)
		if len(back) != maxEvents+1 || back[0] != "leader leader=b@1" || back[maxEvents] != fmt.Sprintf("snapshot: leader=b@%d", maxEvents) {
			t.Errorf("as many as are remembered: got %d, from %s to %s", len(back), back[0], back[len(back)-1])
		}
		f.leads("leader", other, maxEvents+1)
		synctest.Wait()
		expect(t, f.open(t, "", s.last).got(t), fmt.Sprintf("snapshot reset: leader=b@%d", maxEvents+1))
	})
}

func TestChronicleThatHasForgottenBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, leaderRole()) // nobody follows
		f.fakeGroup.limit = 2
		f.leads("leader", other, 4)
		s := f.open(t, "", "")
		expect(t, s.got(t), "snapshot: leader=b@4")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		f.leads("other", other, 1)
		f.leads("leader", other, 6)
		f.leads("other", other, 2)
		f.leads("other", other, 3)
		time.Sleep(heartbeat)
		synctest.Wait()
		expect(t, s.got(t), "leader leader=a@5", "granted leader=a@5 leading", "snapshot reset: leader=b@6")
		expect(t, f.open(t, "", s.last).got(t), "snapshot: leader=b@6")
		d.stop(errHandOver)
		synctest.Wait()
		expect(t, s.got(t)) // the snapshot has said it
	})
}

func TestSlowReaderHearsAllThatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		slow := f.open(t, "", "")
		slow.got(t)
		slow.block(true)
		for epoch := range int32(1000) {
			f.leads("leader", other, epoch+1)
			synctest.Wait()
		}
		fast := f.open(t, "", "")
		expect(t, fast.got(t), "snapshot: leader=b@1000")
		slow.block(false)
		synctest.Wait()
		for i, text := range slow.got(t) {
			if want := fmt.Sprintf("leader leader=b@%d", i+1); text != want {
				t.Fatalf("event %d is %s, want %s", i, text, want)
			}
		}
	})
}

func TestReaderThatIsTooSlowBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		slow := f.open(t, "", "")
		slow.got(t)
		slow.block(true)
		for epoch := range int32(maxEvents + 2) {
			f.leads("leader", other, epoch+1)
			synctest.Wait()
		}
		slow.block(false)
		synctest.Wait()
		expect(t, slow.got(t), "leader leader=b@1", fmt.Sprintf("snapshot reset: leader=b@%d", maxEvents+2))
	})
}

func TestReaderThatIsGoneEndsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		s.fail(errors.New("connection reset by peer"))
		f.leads("leader", other, 4)
		<-s.ended
	})
}

func TestStreamsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		first := f.open(t, "", "")
		for range maxStreams - 1 {
			f.open(t, "", "")
		}
		refused := f.ask("GET", "/events")
		if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") != "10" ||
			decode[errorMessage](t, refused.Body.String()).Error == "" {
			t.Errorf("one more: %d %v %s", refused.Code, refused.Header(), refused.Body)
		}
		if got := f.ask("GET", "/roles"); got.Code != http.StatusOK {
			t.Errorf("other requests: %d %s", got.Code, got.Body)
		}
		first.leave()
		<-first.ended
		if again := f.open(t, "", ""); len(again.messages()) == 0 {
			t.Error("nobody gets the place of one that has gone")
		}
	})
}

func TestHeadOfTheStream(t *testing.T) {
	f := newFixture(t, leaderRole())
	got := f.ask("HEAD", "/events")
	if got.Code != 200 || got.Header().Get("Content-Type") != "text/event-stream" || got.Body.Len() != 0 {
		t.Errorf("got %d %v %s", got.Code, got.Header(), got.Body)
	}
}

func TestIDsRise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.stop(errHandOver)
		f.leads("leader", other, 6)
		synctest.Wait()
		var ids []uint64
		for _, m := range s.messages() {
			number, ok := f.endpoint.journal.position(m.id)
			if !ok {
				t.Fatalf("%s has the ID %q", m.name, m.id)
			}
			ids = append(ids, number)
		}
		if want := []uint64{0, 1, 2, 3, 4}; !slices.Equal(ids, want) {
			t.Errorf("the IDs are %v, want %v", ids, want)
		}
	})
}
