// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func leaderRole() Role { return Role{Name: "leader", Kind: Leadership, Grace: 2 * time.Second} }

func acknowledged() Role {
	role := leaderRole()
	role.Acknowledge = true
	return role
}

func TestLeadTellsFromTheGrantToTheFirstWordOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		expect(t, s.got(t), "snapshot: leader=nobody@0")

		d := f.lead(t, "leader", 5)
		synctest.Wait()
		expect(t, s.got(t), "leader leader=a@5", "granted leader=a@5 leading")
		if got := f.ask("GET", "/roles/leader/leading"); got.Code != 200 {
			t.Errorf("while granted, leading answers %d %s", got.Code, got.Body)
		}

		d.stop(errHandOver)
		synctest.Wait()
		expect(t, s.got(t), "revoked leader@5")
		if got := f.ask("GET", "/roles/leader/leading"); got.Code != 503 {
			t.Errorf("after revoked, leading answers %d %s though the term is valid", got.Code, got.Body)
		}
		if d.returned(t) {
			t.Fatal("the role may be given away before the grace is over")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !d.returned(t) {
			t.Fatal("the role is kept though the grace is over")
		}
		f.leads("leader", other, 6)
		synctest.Wait()
		expect(t, s.got(t), "leader leader=b@6")
	})
}

func TestRevokedSaysWhyAndForHowLongTheRoleIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, acknowledged())
		s := f.open(t, "", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.stop(errHandOver)
		synctest.Wait()
		messages := s.messages()
		got := decode[revokedMessage](t, messages[len(messages)-1].data)
		if want := (revokedMessage{Role: "leader", Epoch: 5, Reason: errHandOver.Error(), GraceSeconds: 2, Acknowledge: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestAcknowledgementReleasesAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		role        Role
		code        int
		released    bool
	}{
		{"of whatever there is", "", acknowledged(), 200, true},
		{"of this term", "?epoch=5", acknowledged(), 200, true},
		{"of an earlier term", "?epoch=4", acknowledged(), 200, false},
		{"of a role that does not wait for it", "", leaderRole(), 200, false},
		{"of what is no term", "?epoch=x", acknowledged(), 400, false},
		{"of no term at all", "?epoch=0", acknowledged(), 400, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := watched(t, tc.role)
				d := f.lead(t, "leader", 5)
				synctest.Wait()
				d.stop(errHandOver)
				synctest.Wait()
				got := f.ask("POST", "/roles/leader/stopped"+tc.query)
				if got.Code != tc.code {
					t.Errorf("got %d %s", got.Code, got.Body)
				}
				if tc.code == 200 && decode[stoppedMessage](t, got.Body.String()).Released != tc.released {
					t.Errorf("got %s", got.Body)
				}
				synctest.Wait()
				if d.returned(t) != tc.released {
					t.Errorf("the role may be given away: %t", !tc.released)
				}
			})
		})
	}
}

func TestAcknowledgementWithoutAnEndIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, acknowledged())
		f.lead(t, "leader", 5)
		synctest.Wait()
		if got := f.ask("POST", "/roles/leader/stopped"); got.Code != http.StatusConflict || !strings.Contains(got.Body.String(), "/yield") {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
	})
}

func TestAcknowledgementsAreTakenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, acknowledged())
		for i, want := range []bool{false, true, false} {
			if i == 1 {
				d := f.lead(t, "leader", 5)
				synctest.Wait()
				d.stop(errHandOver)
				synctest.Wait()
			}
			got := f.ask("POST", "/roles/leader/stopped")
			if got.Code != 200 || decode[stoppedMessage](t, got.Body.String()).Released != want {
				t.Errorf("acknowledgement %d: %d %s", i, got.Code, got.Body)
			}
		}
	})
}

func TestWithoutAWordTheGraceEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, acknowledged())
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.stop(errHandOver)
		time.Sleep(2*time.Second - time.Millisecond)
		synctest.Wait()
		if d.returned(t) {
			t.Fatal("the role may be given away before the grace is over")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !d.returned(t) {
			t.Fatal("the role is kept though the grace is over")
		}
	})
}

func TestWhatIsLostIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, acknowledged())
		s := f.open(t, "", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.term.extend(0)
		d.stop(errHandOver)
		synctest.Wait()
		if !d.returned(t) {
			t.Error("the role waits for something though the session is over")
		}
		messages := s.messages()
		got := decode[revokedMessage](t, messages[len(messages)-1].data)
		if want := (revokedMessage{Role: "leader", Epoch: 5, Reason: errHandOver.Error()}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestWhatIsNoLeadershipRoleAnyMoreIsKeptForItsGrace(t *testing.T) {
	for name, now := range map[string][]Role{"removed": nil, "of another kind": {{Name: "leader", Kind: Exec}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				role := acknowledged()
				role.Grace = 7 * time.Second
				f := watched(t, role)
				s := f.open(t, "", "")
				d := f.lead(t, "leader", 5)
				synctest.Wait()
				f.configure(now...)
				d.stop(errHandOver)
				synctest.Wait()
				messages := s.messages()
				got := decode[revokedMessage](t, messages[len(messages)-1].data)
				if want := (revokedMessage{Role: "leader", Epoch: 5, Reason: errHandOver.Error(), GraceSeconds: 7}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
				time.Sleep(role.Grace - time.Millisecond)
				synctest.Wait()
				if d.returned(t) {
					t.Fatal("the role may be given away before the grace is over")
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if !d.returned(t) {
					t.Fatal("the role is kept though the grace is over")
				}
			})
		})
	}
}

func TestGrantWaitsForTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		f.leads("leader", other, 4)
		s := f.open(t, "", "")
		f.leadUnseen(t, "leader", newFakeTerm(5, time.Minute))
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=b@4")
		f.leads("leader", self, 5)
		synctest.Wait()
		expect(t, s.got(t), "leader leader=a@5", "granted leader=a@5 leading")
	})
}

func TestGrantIsToldAlthoughTheWatchShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.leadUnseen(t, "leader", newFakeTerm(5, time.Minute))
		time.Sleep(sightTimeout)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0", "granted leader=a@5 leading")
	})
}

func TestWhatIsNotValidIsNotGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.leads("leader", self, 5)
		lapsed := f.leadUnseen(t, "leader", newFakeTerm(5, 0))
		synctest.Wait()
		f.leads("leader", self, 6)
		early := f.leadUnseen(t, "leader", newFakeTerm(7, time.Minute))
		synctest.Wait()
		lapsed.stop(errHandOver)
		early.stop(errHandOver) // before the watch has shown it
		synctest.Wait()
		if !lapsed.returned(t) || !early.returned(t) {
			t.Error("a role of which nobody was told is kept")
		}
		expect(t, s.got(t), "snapshot: leader=nobody@0", "leader leader=a@5", "leader leader=a@6")
	})
}

func TestAnswersAndEventsGoByTheValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.term.extend(0) // the process was stopped, and has not ended the term yet
		if got := f.ask("GET", "/roles/leader/leading"); got.Code != 503 {
			t.Errorf("past its validity: %d %s", got.Code, got.Body)
		}
		s := f.open(t, "", f.endpoint.journal.id(0))
		expect(t, s.got(t), "leader leader=a@5", "missed leader=a@5", "snapshot: leader=a@5")
	})
}

func TestNobodyElseLeadsWhileARoleIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		d := f.lead(t, "leader", 5)
		synctest.Wait()
		d.term.extend(0)
		f.leads("leader", other, 6) // the watch is ahead of the end of the term
		synctest.Wait()
		d.stop(errHandOver)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0", "leader leader=a@5", "granted leader=a@5 leading",
			"revoked leader@5", "leader leader=b@6")
	})
}

func TestOldChangesRevokeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		s := f.open(t, "", "")
		f.leadUnseen(t, "leader", newFakeTerm(5, time.Minute))
		time.Sleep(sightTimeout)
		synctest.Wait()
		f.leads("leader", other, 4)
		synctest.Wait()
		expect(t, s.got(t), "snapshot: leader=nobody@0", "granted leader=a@5 leading", "leader leader=b@4")
	})
}

func TestTheEndOfTheEndpointIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole())
		d := f.lead(t, "leader", 5)
		s := f.open(t, "", "")
		s.messages()
		f.endpoint.journal.close()
		<-s.ended
		expect(t, s.got(t), "revoked leader@5")
		if got := f.ask("GET", "/roles/leader/leading"); got.Code != 503 {
			t.Errorf("after the end: %d %s", got.Code, got.Body)
		}
		d.stop(errHandOver)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !d.returned(t) {
			t.Error("the role is kept though the grace is over")
		}
		f.lead(t, "leader", 7)
		synctest.Wait()
		if got := f.ask("GET", "/roles/leader/leading"); got.Code != 503 {
			t.Errorf("granted after the end: %d %s", got.Code, got.Body)
		}
	})
}

func TestLeadOutsideOfAGroupIsAnError(t *testing.T) {
	f := newFixture(t, leaderRole())
	if err := f.endpoint.Lead("leader")(context.Background()); err == nil || !strings.Contains(err.Error(), "no term") {
		t.Errorf("got %v", err)
	}
}

func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t)
		s := f.open(t, "", "")
		f.member(lease.MemberJoined, lease.MemberState{Identity: other, Revision: 3})
		f.member(lease.MemberJoined, lease.MemberState{Identity: self, Revision: 4, Ready: true})
		f.member(lease.MemberChanged, lease.MemberState{Identity: other, Revision: 3, Ready: true, Leaving: true})
		synctest.Wait()
		want := `{"members":[{"pod":"a","identity":"` + self + `","revision":4,"ready":true,"leaving":false,"self":true},` +
			`{"pod":"b","identity":"` + other + `","revision":3,"ready":true,"leaving":true,"self":false}]}` + "\n"
		if got := f.ask("GET", "/members"); got.Code != 200 || got.Body.String() != want {
			t.Errorf("got %d %s", got.Code, got.Body)
		}
		f.member(lease.MemberLeft, lease.MemberState{Identity: other})
		synctest.Wait()
		expect(t, s.got(t), "snapshot: ", "joined b", "joined a", "changed b", "left b")
	})
}
