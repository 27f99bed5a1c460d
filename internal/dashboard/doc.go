// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard is the page that every replica serves to people: who is a
// member, who holds what, and what has changed hands since the replica started.
//
// It shows the group as the watch of this one replica shows it, and so says how
// old that view is: a replica that is cut off from the API server goes on to
// serve what it saw last, marked as old. Times at which sessions lapse are those
// of wall clocks, as in package status: for people, and nothing is decided by them.
//
// [Dashboard.Run] looks at the group's Leases when they change, twice a second at
// most, and makes a state of them that is never modified again. A stream of events
// remembers the state that it has sent and sends how the newest differs; so a
// reader that is slow misses states in between, holds up nobody, and costs no
// memory. What happened between two looks goes into a timeline of bounded length.
//
// The page needs no build step and loads nothing from elsewhere: HTML, style and
// scripts are in assets/, and its Content-Security-Policy allows no others. All
// its addresses are relative, so it also works behind a path, as that of the API
// server's proxy. What Leases say (names, problems) is untrusted: the scripts put
// it into the page as text.
//
// The tests drive looks with Leases on virtual time and read streams through real
// connections; e2e/browser looks at the page in Chromium.
package dashboard
