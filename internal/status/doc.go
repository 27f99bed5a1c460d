// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package status tells who holds what in a group, from one list of its Leases.
//
// It needs no permission but to list Leases, and no replica has to be
// reachable. Because it looks once, it must compare the wall-clock times that
// replicas wrote with the clock here to say that a session has lapsed; that is
// for people, and nothing is ever decided by it.
//
// [Of] is a pure function of the Leases and the time, and [Changes] of two
// statuses: the tests are tables of Leases and of what is to be said of them.
package status
