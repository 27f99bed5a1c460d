// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The group as the stream tells of it, and the replica's clock.

// orphaned says that nobody holds a shard that somebody should.
export const orphaned = (shard) => shard.state === "unheld" && !shard.unserved;

export class Group {
  members = new Map(); // by ID
  shards = new Map(); // by name
  timeline = []; // entries that are new since the last look
  view = { state: "waiting" };
  summary = { members: 0, membersReady: 0, shards: 0, shardsHeld: 0, imbalance: 0, moves: 0 };
  about = null; // what never changes of a replica
  #ahead = 0; // by how much the replica's clock is ahead of this one, in milliseconds

  // now is the time by the replica's clock.
  now() {
    return Date.now() + this.#ahead;
  }

  // here is a time of the replica by this clock.
  here(at) {
    return at - this.#ahead;
  }

  // snapshot takes in the first event of a stream: nothing of before counts.
  snapshot(s) {
    this.#ahead = Date.parse(s.now) - Date.now();
    this.about = { group: s.group, namespace: s.namespace, self: s.self, version: s.version, started: s.started };
    this.members = new Map(s.members.map((m) => [m.id, m]));
    this.shards = new Map(s.shards.map((sh) => [sh.name, sh]));
    this.timeline = s.timeline;
    this.view = s.view;
    this.summary = s.summary;
    return { members: true, order: true };
  }

  // update takes in a later one, and says whether there is another set of members
  // or shards, or another order of them.
  update(u) {
    const changed = { members: false, order: false };
    for (const m of u.members ?? []) {
      this.members.set(m.id, m);
      changed.members = true;
    }
    for (const id of u.membersGone ?? []) {
      this.members.delete(id);
      changed.members = true;
    }
    for (const [id, at] of Object.entries(u.heartbeats ?? {})) this.members.get(id).heartbeat = at;
    for (const sh of u.shards ?? []) {
      const was = this.shards.get(sh.name);
      this.shards.set(sh.name, sh);
      if (!was || orphaned(was) !== orphaned(sh)) changed.order = true;
    }
    for (const name of u.shardsGone ?? []) {
      this.shards.delete(name);
      changed.order = true;
    }
    this.timeline = u.timeline ?? [];
    this.view = u.view;
    this.summary = u.summary ?? this.summary;
    return changed;
  }
}
