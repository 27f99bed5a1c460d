// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leadership is the local endpoint by which programs in any language learn who
// leads a role: what leader-elector sidecars, Spring and Camel are asked for.
//
//	GET  /                      {"name":"<pod>"}: the leader of the root role, as the old leader-elector sidecar has it
//	GET  /roles                 all roles of the configuration
//	GET  /roles/{role}          one of them: its leader, whether that is this replica, and for how long that is sure
//	GET  /roles/{role}/leading  200 if this replica leads it, else 503, for probes and curl
//	POST /roles/{role}/yield    gives it up
//	POST /roles/{role}/stopped  the program has stopped what it does as leader
//	GET  /members               the replicas of the group
//	GET  /events                what changes, as server-sent events
//
// docs/leadership.md describes requests and answers for those who write programs.
//
// Invariants:
//
//   - What is granted to this replica and revoked, who leads, and who is a member, is one
//     sequence of events with rising IDs (the [journal]). A stream tells it in this order
//     and leaves nothing out, also when it is cut and goes on after the ID that was read
//     last, or it says that it cannot and tells how everything stands.
//   - A role is told as granted, by an event or an answer, only while its term is valid and
//     none of its ends was told. A grant that could not be told in time is told as missed.
//   - revoked is told at the first word of the end of a term. The shard is not given away
//     before the grace is over, or the program has said that it has stopped; unless the
//     session itself is over, and then validForSeconds has passed.
//   - No event names another leader while a role is told as granted.
//   - A reader that is slow delays nobody: it is behind in the journal, which has
//     4096 events, or is disconnected.
//   - Web pages reach nothing: not by a name of theirs that leads to this machine, nor by a
//     form. What more than this machine reaches takes a token.
//
// It is tested with a group made up by the test, in virtual time or on connections of its
// own, and with the clients of examples/leadership, which are run as they are.
package leadership
