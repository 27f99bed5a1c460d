// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func scheduleRole() Role { return Role{Name: "nightly", Kind: Schedule} }

func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole(), scheduleRole(), Role{Name: "importer", Kind: Exec}, Role{Name: "idle", Kind: Leadership})
		f.leads("nightly", other, 7)
		f.leads("importer", self, 2)
		f.holds("importer", newFakeTerm(2, 4*time.Second))
		f.leads("widgets.example.com", other, 7) // a type is no role
		synctest.Wait()
		time.Sleep(1500 * time.Millisecond)
		f.lead(t, "leader", 5)
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		// In virtual time, the machine's own clock is the only one that is not virtual.
		blank := func(text string) string {
			var m rolesMessage
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			for i := range m.Roles {
				m.Roles[i].UntilUptimeSeconds = 0
			}
			plain, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return string(plain)
		}
		want := `{"group":"g","namespace":"ns","pod":"a","roles":[` +
			`{"role":"leader","kind":"leadership","leader":{"pod":"a","identity":"` + self + `"},"leading":true,"epoch":5,` +
			`"token":"1152921504606846981","validForSeconds":59.5,"since":"2000-01-01T00:00:01.5Z"},` +
			`{"role":"nightly","kind":"schedule","leader":{"pod":"b","identity":"` + other + `"},"leading":false,"epoch":7,` +
			`"validForSeconds":0,"since":"2000-01-01T00:00:00Z"},` +
			`{"role":"importer","kind":"exec","leader":{"pod":"a","identity":"` + self + `"},"leading":true,"epoch":2,` +
			`"token":"1152921504606846978","validForSeconds":2,"since":"2000-01-01T00:00:00Z"},` +
			`{"role":"idle","kind":"leadership","leader":null,"leading":false,"epoch":0,"validForSeconds":0}]}`
		if got := f.ask("GET", "/roles"); got.Code != 200 || blank(got.Body.String()) != want {
			t.Errorf("got %d\n%s, want\n%s", got.Code, got.Body, want)
		}
	})
}

func TestRoleIsValidUntilATimeOfTheMachine(t *testing.T) {
	before, known := uptimeNow()
	if !known {
		t.Skip("this system has no such clock")
	}
	f := newFixture(t, scheduleRole())
	f.leads("nightly", self, 5)
	f.holds("nightly", newFakeTerm(5, time.Minute))
	m := decode[roleMessage](t, f.ask("GET", "/roles/nightly").Body.String())
	after, _ := uptimeNow()
	if at := m.UntilUptimeSeconds; at < seconds(before)+59 || at > seconds(after)+60 {
		t.Errorf("a term that is valid for a minute, asked for between %s and %s, is valid until %v s", before, after, at)
	}
}

func TestLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, leaderRole(), scheduleRole(), Role{Name: "idle", Kind: Leadership}, Role{Name: "mine", Kind: Schedule})
		f.lead(t, "leader", 5)
		f.leads("nightly", other, 7)
		f.leads("mine", self, 7) // the watch says so, but nothing is held
		synctest.Wait()
		for role, want := range map[string]struct {
			code int
			text string
		}{
			"leader":  {200, "a leads leader: epoch 5, valid for 60.000 s\n"},
			"nightly": {503, "a does not lead nightly: b does\n"},
			"mine":    {503, "a does not lead mine: it was not granted yet, or was revoked\n"},
			"idle":    {503, "nobody leads idle\n"},
			"nobody":  {404, `{"error":"there is no role \"nobody\": use one of leader, nightly, idle, mine"}` + "\n"},
		} {
			if got := f.ask("GET", "/roles/"+role+"/leading"); got.Code != want.code || got.Body.String() != want.text {
				t.Errorf("%s: got %d %s, want %d %s", role, got.Code, got.Body, want.code, want.text)
			}
		}
	})
}

func TestNameIsThatOfTheOldSidecar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := watched(t, scheduleRole(), leaderRole())
		name := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := f.ask("GET", "/"); got.Code != 200 || got.Body.String() != `{"name":"`+want+`"}`+"\n" {
				t.Errorf("got %d %s, want the name %q", got.Code, got.Body, want)
			}
		}
		name("")
		f.leads("leader", other, 4)
		name("b")
		d := f.lead(t, "leader", 5)
		name("a")
		d.stop(errHandOver) // the Lease still names this Pod
		name("")
	})
}

func TestNameNeedsARole(t *testing.T) {
	for _, tc := range []struct {
		name, root string
		roles      []Role
		code       int
	}{
		{"the only one", "", []Role{scheduleRole(), leaderRole()}, 200},
		{"the one that is configured", "nightly", []Role{scheduleRole(), leaderRole()}, 200},
		{"the one that is configured is gone", "old", []Role{leaderRole()}, 404},
		{"one of two", "", []Role{leaderRole(), {Name: "another", Kind: Leadership}}, 404},
		{"none", "", []Role{scheduleRole()}, 404},
	} {
		f := newFixture(t, tc.roles...)
		f.endpoint.root = tc.root
		if got := f.ask("GET", "/"); got.Code != tc.code || tc.code == 404 && !strings.Contains(got.Body.String(), "spec.leadership.root") {
			t.Errorf("%s: got %d %s", tc.name, got.Code, got.Body)
		}
	}
}

func TestYield(t *testing.T) {
	f := newFixture(t, leaderRole(), scheduleRole(), Role{Name: "broken", Kind: Exec})
	f.leads("leader", self, 5)
	f.holds("leader", newFakeTerm(5, time.Minute))
	for _, tc := range []struct {
		target string
		code   int
		body   string
	}{
		{"/roles/leader/yield", 202, `{"role":"leader","epoch":5,"backoffSeconds":10}`},
		{"/roles/leader/yield?backoff=1m", 202, `{"role":"leader","epoch":5,"backoffSeconds":60}`},
		{"/roles/nightly/yield", 409, `{"error":"a does not lead nightly, so it cannot give it up: ask the Pod that leads it"}`},
		{"/roles/leader/yield?backoff=2h", 400, `{"error":"backoff: \"2h\" is not allowed: use a duration of at most 1h0m0s, as 30s or 5m"}`},
		{"/roles/leader/yield?backoff=-1s", 400, `{"error":"backoff: \"-1s\" is not allowed: use a duration of at most 1h0m0s, as 30s or 5m"}`},
		{"/roles/leader/yield?backoff=10", 400, `{"error":"backoff: \"10\" is not allowed: use a duration of at most 1h0m0s, as 30s or 5m"}`},
		{"/roles/broken/yield", 500, `{"error":"giving up broken: the log of this replica says why it failed"}`},
		{"/roles/none/yield", 404, `{"error":"there is no role \"none\": use one of leader, nightly, broken"}`},
	} {
		if got := f.ask("POST", tc.target); got.Code != tc.code || got.Body.String() != tc.body+"\n" {
			t.Errorf("%s: got %d %s, want %d %s", tc.target, got.Code, got.Body, tc.code, tc.body)
		}
	}
	expect(t, f.yields, "leader for 10s", "leader for 1m0s")
}

func TestRequestsThatAreNotAnswered(t *testing.T) {
	f := newFixture(t, leaderRole())
	for _, tc := range []struct {
		method, target string
		code           int
		allow, has     string
	}{
		{"POST", "/roles", 405, "GET, HEAD", "POST is not for /roles: use GET, HEAD"},
		{"DELETE", "/roles/leader", 405, "GET, HEAD", "DELETE is not for /roles/leader"},
		{"GET", "/roles/leader/yield", 405, "POST", "use POST"},
		{"HEAD", "/roles/leader/stopped", 405, "POST", ""},
		{"OPTIONS", "/events", 405, "GET, HEAD", "OPTIONS"},
		{"GET", "/roles/none", 404, "", "use one of leader"},
		{"POST", "/roles/none/stopped", 404, "", "use one of leader"},
		{"GET", "/events?role=leader&role=none", 404, "", "use one of leader"},
		{"GET", "/favicon.ico", 404, "", "use /, /roles"},
		{"GET", "/roles/", 404, "", "use /, /roles"},
	} {
		got := f.ask(tc.method, tc.target)
		if got.Code != tc.code || got.Header().Get("Allow") != tc.allow {
			t.Errorf("%s %s: got %d, allowed %q", tc.method, tc.target, got.Code, got.Header().Get("Allow"))
		}
		if why := decode[errorMessage](t, got.Body.String()).Error; !strings.Contains(why, tc.has) || why == "" {
			t.Errorf("%s %s: got %q", tc.method, tc.target, why)
		}
	}
}

func TestNoRoles(t *testing.T) {
	f := newFixture(t)
	if got := f.ask("GET", "/roles").Body.String(); got != `{"group":"g","namespace":"ns","pod":"a","roles":[]}`+"\n" {
		t.Errorf("got %s", got)
	}
	if got := f.ask("GET", "/roles/x").Body.String(); !strings.Contains(got, "the configuration has none") {
		t.Errorf("got %s", got)
	}
}
