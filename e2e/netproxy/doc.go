// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netproxy is a network between a client and a server on this machine that can be disturbed as real ones are.
//
//	p, err := netproxy.Start("127.0.0.1:6443")
//	defer p.Close()
//	// The client connects to p.Addr().
//	p.Hold(false, true) // requests arrive, answers do not
//	p.Heal()            // now they do, however late
//
// It carries TCP connections and does not look at what is in them, so TLS works through it and what it does happens to bytes,
// not to requests.
//
// # What holds
//
//   - What is not thrown away by Cut, Swallow or Close arrives, in order and once: also what a client has sent that has given up
//     and closed its connection long ago. That is how a write that was thought to be lost is committed late. (The end of the
//     connection, or of the request in HTTP/2, arrives right behind it, so a server may give it up, too.)
//   - Each direction ends by itself: the end of a stream waits in line behind its bytes, and is held up and delayed like them.
//   - Memory is bounded: a direction that does not get on takes 1 MiB at most, then its sender has to wait, as at the end of a
//     TCP window. There are never more than 1024 connections; further ones are closed at once.
//   - A disturbance concerns what has not been handed on when its method is called; bytes being written to a socket at that
//     moment may still arrive.
//   - Nothing outlives Close.
//
// The tests cause every disturbance between real sockets.
package netproxy
