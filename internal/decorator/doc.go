// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package decorator speaks metacontroller's DecoratorController contract: for each parent object that a
// document selects it sends the parent and what is attached to it to a hook, and makes true what the hook
// answers: labels, annotations and status of the parent, and a list of attachments.
//
// A Controller has no goroutine, no queue and no state: Sync reads caches, calls the hook, writes, and
// says when to come back. Whoever holds the shard calls it, with the term's context. What holds:
//
//   - No hook is called before every cache the controller reads has synced: an attachment that is not in
//     the answer is deleted, and a hook that was shown too little would have everything deleted.
//   - The answer is checked as a whole before the first write, and limited (limits.go): how much a hook
//     may ask for, and that it takes nothing that is not its own. Once the context has ended, nothing is
//     written any more, and Sync returns the context's cause.
//   - Nothing is touched that this decorator did not create for this very parent: an attachment is ours if
//     its controller is the parent's UID and its annotation names the decorator. Deletes carry the UID.
//   - A write is left out if it would change nothing.
//   - The marks on objects are metacontroller's (names.go), so a decorator can change over either way.
//
// The contract is that of metacontroller's documentation (docs/src/api/decoratorcontroller.md, hook.md and
// apply.md) and, where that is silent, of its behaviour. Where shardctl differs, it is to refuse or to keep
// safe what metacontroller passes over: what it does not support is refused by name (parse.go), an
// attachment in the way that is not ours is an error, a conflict is retried, the finalizer is removed after
// the attachments are done and not before, null means "no opinion" in an attachment, and list items that
// share a merge key are not thrown together.
//
// What it needs to be allowed is told by package rbac.
//
// The tests compare requests with golden files, run Sync against a fake client that counts writes, and
// fuzz the way from an answer to the object that would be written.
package decorator
