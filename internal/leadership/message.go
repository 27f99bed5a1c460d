// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"math"
	"strconv"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// What answers and events carry, as JSON. It is stable: fields are added, never changed.
// docs/leadership.md describes it.

// leaderMessage is who leads a role.
type leaderMessage struct {
	Pod      string `json:"pod"`
	Identity string `json:"identity"`
}

// validity is for how long a role that this replica leads is sure to be its own, unless
// that is extended.
type validity struct {
	// ForSeconds counts from when this was written.
	ForSeconds float64 `json:"validForSeconds"`
	// UntilUptimeSeconds is the same as a time of this machine, that of /proc/uptime and
	// CLOCK_BOOTTIME. It does not matter for it when it is read. Not on systems without.
	UntilUptimeSeconds float64 `json:"validUntilUptimeSeconds,omitempty"`
}

// roleMessage is how a role stands.
type roleMessage struct {
	Role   string         `json:"role"`
	Kind   Kind           `json:"kind"`
	Leader *leaderMessage `json:"leader"` // null: nobody
	// Leading: this replica may act as the leader.
	Leading bool   `json:"leading"`
	Epoch   int32  `json:"epoch"`
	Token   string `json:"token,omitempty"` // only while leading: 64 bits, which JSON's numbers have no room for
	validity

	Since *time.Time `json:"since,omitempty"`
}

// rolesMessage is the answer of GET /roles.
type rolesMessage struct {
	Group     string        `json:"group"`
	Namespace string        `json:"namespace"`
	Pod       string        `json:"pod"` // this replica's
	Roles     []roleMessage `json:"roles"`
}

// memberMessage is a replica of the group.
type memberMessage struct {
	Pod      string `json:"pod"`
	Identity string `json:"identity"`
	Revision int64  `json:"revision"`
	Ready    bool   `json:"ready"`
	Leaving  bool   `json:"leaving"`
	Self     bool   `json:"self"` // this replica
}

// membersMessage is the answer of GET /members.
type membersMessage struct {
	Members []memberMessage `json:"members"`
}

// snapshotMessage is the event snapshot.
type snapshotMessage struct {
	// Reset: the reader came back, and what it has missed is not known any more.
	Reset bool `json:"reset"`
	rolesMessage
	membersMessage
}

// revokedMessage is the event revoked.
type revokedMessage struct {
	Role         string  `json:"role"`
	Epoch        int32   `json:"epoch"`
	Reason       string  `json:"reason"`
	GraceSeconds float64 `json:"graceSeconds"`
	Acknowledge  bool    `json:"acknowledge"`
}

// changedLeaderMessage is the event leader.
type changedLeaderMessage struct {
	Role   string         `json:"role"`
	Leader *leaderMessage `json:"leader"`
	Epoch  int32          `json:"epoch"`
}

// validMessage is the event valid.
type validMessage struct {
	Roles []validRoleMessage `json:"roles"`
}

type validRoleMessage struct {
	Role  string `json:"role"`
	Epoch int32  `json:"epoch"`
	validity
}

// yieldedMessage is the answer of POST /roles/{role}/yield.
type yieldedMessage struct {
	Role           string  `json:"role"`
	Epoch          int32   `json:"epoch"`
	BackoffSeconds float64 `json:"backoffSeconds"`
}

// stoppedMessage is the answer of POST /roles/{role}/stopped.
type stoppedMessage struct {
	Role string `json:"role"`
	// Released: the role is given away now.
	Released bool   `json:"released"`
	Reason   string `json:"reason,omitempty"` // why it is not
}

// nameMessage is the answer of GET /.
type nameMessage struct {
	Name string `json:"name"`
}

// errorMessage is the answer to a request that is refused.
type errorMessage struct {
	Error string `json:"error"`
}

func messageOfLeader(l lease.Leader) *leaderMessage {
	if l.Holder == "" {
		return nil
	}
	return &leaderMessage{Pod: l.Pod, Identity: l.Holder}
}

// seconds are rounded down to milliseconds.
func seconds(d time.Duration) float64 { return math.Floor(d.Seconds()*1000) / 1000 }

// validityOf tells for how long a term is valid.
func validityOf(t Term) validity {
	uptime, known := uptimeNow() // before the rest is read: so it is sooner, if anything
	v := validity{ForSeconds: seconds(max(0, t.Remaining()))}
	if known && v.ForSeconds > 0 {
		v.UntilUptimeSeconds = seconds(uptime + t.Remaining())
	}
	return v
}

// roleNow tells how a role stands.
func (e *Endpoint) roleNow(role Role, v *view) roleMessage {
	now := v.leaders[role.Name]
	m := roleMessage{Role: role.Name, Kind: role.Kind, Leader: messageOfLeader(now.Leader), Epoch: now.Epoch, Since: pointer(now.since)}
	if role.Kind == Leadership {
		if g := v.grants[role.Name]; g != nil && g.leading() {
			m.lead(g.term, e.pod)
			m.Since = pointer(g.since)
		}
	} else if term, held := e.backend.Holding(role.Name); held {
		m.lead(term, e.pod)
	}
	return m
}

// lead fills in that this replica leads.
func (m *roleMessage) lead(t Term, pod string) {
	m.validity = validityOf(t)
	m.Leading = m.ForSeconds > 0
	m.Leader = &leaderMessage{Pod: pod, Identity: t.Identity()}
	m.Epoch, m.Token = t.Epoch(), strconv.FormatInt(t.Token(), 10)
}

// granted tells of a grant; it is not led any more if that is over.
func (e *Endpoint) granted(g *grant) roleMessage {
	m := roleMessage{Role: g.role, Kind: Leadership, Since: pointer(g.since)}
	m.lead(g.term, e.pod)
	if g.over.Load() {
		m.Leading, m.validity = false, validity{}
	}
	return m
}

// rolesNow tells how roles stand; all, if there are no names.
func (e *Endpoint) rolesNow(v *view, names []string) rolesMessage {
	m := rolesMessage{Group: e.group, Namespace: e.namespace, Pod: e.pod, Roles: []roleMessage{}}
	for _, role := range e.roles() {
		if (event{role: role.Name}).concerns(names) {
			m.Roles = append(m.Roles, e.roleNow(role, v))
		}
	}
	return m
}

func (e *Endpoint) membersNow(v *view) membersMessage {
	m := membersMessage{Members: make([]memberMessage, len(v.members))}
	for i, one := range v.members {
		m.Members[i] = e.member(one)
	}
	return m
}

func (e *Endpoint) member(s lease.MemberState) memberMessage {
	return memberMessage{Pod: s.Pod, Identity: s.Identity, Revision: s.Revision, Ready: s.Ready, Leaving: s.Leaving, Self: s.Pod == e.pod}
}

// pointer leaves out the zero time.
func pointer(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC().Truncate(time.Millisecond)
	return &at
}
