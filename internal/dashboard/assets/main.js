// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The page: a stream of events comes in, and what it changes is shown.

import { follow } from "./connection.js";
import { byId, setData, setHidden, setText } from "./dom.js";
import { dateAndTime, duration, instant, timeOfDay } from "./format.js";
import { Group } from "./group.js";
import { hue } from "./hues.js";
import { Members } from "./members.js";
import { Shards } from "./shards.js";
import { Summary } from "./summary.js";
import { Timeline } from "./timeline.js";

const group = new Group();
const summary = new Summary();
const shards = new Shards();
const members = new Members((pod) => {
  shards.choose(pod);
  byId("shards").scrollIntoView({ block: "start" });
});
const timeline = new Timeline();

// The connection to the replica: state is connecting, live or lost, since when is by
// the clock here.
const connection = { state: "connecting", since: Date.now(), reason: "" };

function connected(state, reason = "") {
  if (connection.state !== state) {
    connection.state = state;
    connection.since = Date.now();
  }
  connection.reason = reason;
  tick();
}

const events = {
  snapshot(s) {
    const changed = group.snapshot(s);
    timeline.clear();
    for (const pod of s.members.map((m) => m.pod).sort()) hue(pod); // neighbours get colours that differ
    introduce();
    show({ ...changed, fresh: true });
  },
  update(u) {
    show({ ...group.update(u), fresh: false });
  },
};

function introduce() {
  const { group: name, namespace, self, version, started } = group.about;
  setText(byId("group"), name);
  setText(byId("namespace"), namespace);
  setText(byId("self"), self);
  setText(byId("version"), version ? `shardctl ${version}` : "");
  const at = group.here(instant(started));
  setText(byId("started"), dateAndTime(at));
  byId("started").dateTime = started;
}

function show(changed) {
  members.show(group);
  shards.show(group, changed);
  summary.show(group);
  timeline.add(group.timeline, group);
  tick();
}

// tick shows what changes by time alone: ages, and how old all of it is.
function tick() {
  setData(document.body, "connection", connection.state);
  setData(document.body, "view", group.view.state);
  setText(byId("connection-text"), { connecting: "Connecting", live: "Live", lost: "Reconnecting" }[connection.state]);
  setText(byId("connection-since"), ` since ${timeOfDay(connection.since)}`);
  const live = connection.state === "live";
  notice("connection", lost());
  notice("view", live && group.about ? old() : null);
  if (live) {
    members.tick(group);
    shards.tick(group);
    timeline.tick(group);
  }
}

// notice shows what there is to say, if anything. The age is apart, so that it is
// not read out each second.
function notice(name, said) {
  const e = byId(`notice-${name}`);
  setText(e.querySelector(".what"), said?.what ?? "");
  setText(e.querySelector(".age"), said?.age ?? "");
  setHidden(e, !said);
}

function lost() {
  if (connection.state !== "lost") return null;
  const age = group.about ? `What you see is as it was ${duration(Date.now() - connection.since)} ago.` : "";
  return { what: `Connection lost: ${connection.reason}. Trying again.`, age };
}

function old() {
  switch (group.view.state) {
    case "current":
      return null;
    case "waiting":
      return { what: "This replica has not seen the group yet." };
  }
  return {
    what: `This view is old: ${group.about.self} sees no heartbeats, not even its own, so it seems to be cut off from the API server. ` +
      "The group is shown as it was; look at another replica's page.",
    age: `The newest heartbeat it has seen is ${duration(group.now() - instant(group.view.newest))} old.`,
  };
}

setInterval(tick, 1000);
follow("events", {
  event: (name, data) => events[name]?.(data),
  open: () => connected("live"),
  lost: (reason) => connected("lost", reason),
});
