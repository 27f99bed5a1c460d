// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"fmt"
	"maps"
)

// Describe is a line for each member and each shard, and one for the fence in the
// API server if that was looked at, as it is.
func Describe(s Status) []string {
	lines := make([]string, 0, len(s.Members)+len(s.Shards))
	names := memberNames(s)
	for _, m := range s.Members {
		line := "member " + names[m.Lease] + ": " + m.summary() + ", " + count(m.Shards, "shard")
		if len(m.Declines) > 0 {
			line += ", does not take " + m.declines()
		}
		if m.Problem != "" {
			line += ", problem: " + m.Problem
		}
		lines = append(lines, line)
	}
	for _, sh := range s.Shards {
		line := "shard " + sh.Name + ": " + sh.summary()
		if sh.Problem != "" {
			line += ", problem: " + sh.Problem
		}
		lines = append(lines, line)
	}
	return append(lines, fenceChange(Fence{}, s.Fence)...)
}

// Changes is a line for each thing that happened between two looks at a group:
// members that join, leave or change their state, shards that change hands or
// state, problems that come and go, a fence in the API server of which there is
// something else to say. What heartbeats carry (their age, loads, the text of a
// problem that stays) is no change.
func Changes(before, now Status) []string {
	return append(append(memberChanges(before, now), shardChanges(before, now)...), fenceChange(before.Fence, now.Fence)...)
}

// fenceChange is the line, if any, for a fence that is not what it was.
func fenceChange(before, now Fence) []string {
	if before == now {
		return nil
	}
	return []string{"server fence: " + now.String()}
}

// memberChanges goes by the member Lease: the sessions of a replica follow each
// other in one.
func memberChanges(before, now Status) []string {
	var lines []string
	names, oldNames := memberNames(now), memberNames(before)
	old := map[string]Member{}
	for _, m := range before.Members {
		old[m.Lease] = m
	}
	for _, m := range now.Members {
		was, known := old[m.Lease]
		delete(old, m.Lease)
		line := "member " + names[m.Lease] + ": "
		switch {
		case !known:
			lines = append(lines, line+"joined: "+m.summary())
		case was.Identity != m.Identity:
			lines = append(lines, line+"has a new session: "+m.summary())
		case was.summary() != m.summary():
			lines = append(lines, line+m.summary())
		}
		lines = append(lines, declineChange(line, was, m)...)
		lines = append(lines, problemChange(line, was.Problem, m.Problem)...)
	}
	for _, m := range before.Members {
		if _, gone := old[m.Lease]; gone {
			lines = append(lines, "member "+oldNames[m.Lease]+": left")
		}
	}
	return lines
}

func shardChanges(before, now Status) []string {
	var lines []string
	old := map[string]Shard{}
	for _, sh := range before.Shards {
		old[sh.Name] = sh
	}
	for _, sh := range now.Shards {
		was, known := old[sh.Name]
		delete(old, sh.Name)
		line := "shard " + sh.Name + ": "
		switch from, to := was.heldBy(), sh.heldBy(); {
		case known && was.summary() == sh.summary():
		case from != "" && to != "" && from != to:
			lines = append(lines, line+"held by "+from+" -> "+to+sh.details())
		case from != "" && to == "":
			lines = append(lines, line+sh.summary()+", was held by "+from)
		default:
			lines = append(lines, line+sh.summary())
		}
		if known {
			lines = append(lines, workChange(line, was, sh)...)
		}
		lines = append(lines, problemChange(line, was.Problem, sh.Problem)...)
	}
	for _, sh := range before.Shards {
		switch _, gone := old[sh.Name]; {
		case gone && sh.Lease != "":
			lines = append(lines, "shard "+sh.Name+": gone")
		case gone: // it only stood for shards that are there now, or that nobody wants any more
			lines = append(lines, problemChange("shard "+sh.Name+": ", sh.Problem, "")...)
		}
	}
	return lines
}

// problemChange is the line, if any, for a problem that comes or goes.
func problemChange(line, before, now string) []string {
	switch {
	case before == "" && now != "":
		return []string{line + "problem: " + now}
	case before != "" && now == "":
		return []string{line + "no problem any more"}
	}
	return nil
}

// declineChange is the line, if any, for a member that does not take the same as before.
func declineChange(line string, before, now Member) []string {
	switch {
	case maps.Equal(before.Declines, now.Declines):
		return nil
	case len(now.Declines) == 0:
		return []string{line + "takes everything again"}
	}
	return []string{line + "does not take " + now.declines()}
}

// summary is what a change of a member is told by.
func (m Member) summary() string {
	text := m.State
	if m.State != Ended && m.State != Lapsed {
		text += ", not ready"
		if m.Ready {
			text = m.State + ", ready"
		}
	}
	return fmt.Sprintf("%s, revision %d", text, m.Revision)
}

// summary is what a change of a shard is told by.
func (s Shard) summary() string {
	if holder := s.heldBy(); holder != "" {
		return "held by " + holder + s.details()
	}
	switch {
	case s.Lease == "":
		return "no Lease yet"
	case s.Preferred != "":
		return "unheld, pinned to " + s.Preferred
	}
	return "unheld"
}

// details are those of a shard that is held.
func (s Shard) details() string {
	text := fmt.Sprintf(" (epoch %d)", s.Epoch)
	if s.State == Draining || s.State == Foreign {
		text += ", " + string(s.State)
	}
	if s.Preferred != "" {
		text += ", pinned to " + s.Preferred
	}
	return text
}

// heldBy is the Pod that holds the shard, empty if none does.
func (s Shard) heldBy() string {
	if s.State == Unheld {
		return ""
	}
	return PodOf(s.Holder)
}

// memberNames are what to call the members, by Lease: by their Pods, but for
// those of which several have one.
func memberNames(s Status) map[string]string {
	inPod := map[string]int{}
	for _, m := range s.Members {
		inPod[m.Pod]++
	}
	names := make(map[string]string, len(s.Members))
	for _, m := range s.Members {
		names[m.Lease] = m.Pod
		if inPod[m.Pod] > 1 {
			names[m.Lease] = m.Identity
		}
	}
	return names
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
