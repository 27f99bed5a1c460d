// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package status tells who holds what in a group, from one list of its Leases.
//
// It needs no permission but to list Leases, and no replica has to be
// reachable. Because it looks once, it must compare the wall-clock times that
// replicas wrote with the clock here to say that a session has lapsed; that is
// for people, and nothing is ever decided by it.
//
// The fence in the API server is not in the Leases: [Inspect] takes in what somebody
// else has read of it, and compares that with what the members' Leases call for.
//
// [Of] is a pure function of the Leases and the time, and [Changes] of two
// statuses: the tests are tables of Leases and of what is to be said of them.
package status
