// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workload is the work of the fault tests: which objects there are, what a replica writes for one, and what has to come of
// it. The replicas and the program that judges them share it, and so do the two ways to elect that are compared: what is
// written, and when, is the same for both.
//
// There are two types. Widgets have a status subresource and are divided by UID; gadgets have none and are divided by key.
// Every object has a number, spec.value. A reconcile writes three times, each time after a pause: a mark on the object, its child
// (a ConfigMap, which for some numbers has to be absent instead) and the number into the status.
//
// It is made as hard for the fences as a program can make it. A reconcile does not look at its context, so that being told to
// stop does not stop it. No write has a precondition, so that a late one is never refused for a conflict. And a write that
// fails does not keep the next one from being tried.
package workload
