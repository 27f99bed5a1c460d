// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fence generates the admission policies by which the API server itself refuses a write of a
// replica that does not hold the shard (G3).
//
// A ValidatingAdmissionPolicy has a parameter: here it is the Lease of a shard. A request of the group's
// service account is judged by every Lease of the family: "the object is not in my bucket, or you are
// my holder". All have to agree. Who writes, the API server knows from the token, which is bound to a
// Pod: the holder's identity begins with the Pod's name and UID.
//
// Policies of a group ([New]):
//
//   - objects.<family>: writes to the objects of a type, by the bucket of the object.
//   - attachments.<family>: writes to what is attached to them, by the bucket of the owner.
//   - unowned: writes to attachments that name no owner are refused.
//   - unbound: writes by a token that is bound to no Pod are refused.
//   - recorded: writes for a family that never had a term are refused.
//
// Of the cluster ([General]): the sentinel and the guard.
//
// What holds:
//
//   - Nobody but the group's service account is refused anything, but for the guard; and but for types of
//     custom resources as long as the group has no Lease for them at all (R11: the API server looks for
//     parameters before it asks who writes). Built-in types are never closed to everybody, but by an API server that has not read the Leases yet.
//   - All fails closed for the service account: an expression that fails refuses.
//   - Positions are computed exactly as package lease does, for every partition.
//   - What is printed has all defaults written out: what the API server stores is the same, and has the
//     same [Fence.Digest].
//
// What it can not tell apart is in docs/fences.md. The expressions are tested on a real API server, in
// the e2e module; here, that they are stable.
package fence
