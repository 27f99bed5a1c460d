// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The table of members.

import { arrange, byId, element, row, setClass, setData, setHidden, setText } from "./dom.js";
import { count, duration, instant, percent, workers } from "./format.js";
import { hue, podName } from "./hues.js";

const columns = [
  ["name", "Member", "name"],
  ["state", "State", "state-cell"],
  ["share", "Share", "share-cell"],
  ["shards", "Shards", "number"],
  ["load", "Load", "number"],
  ["revision", "Revision", "number revision"],
  ["heartbeat", "Heartbeat", "number"],
];

export class Members {
  #body = byId("member-rows");
  #rows = new Map(); // by ID
  #choose;

  // choose is called with a Pod whose shards somebody wants to see.
  constructor(choose) {
    this.#choose = choose;
  }

  // show brings the table up to date.
  show(group) {
    for (const [id, r] of this.#rows) {
      if (!group.members.has(id)) {
        r.tr.remove();
        this.#rows.delete(id);
      }
    }
    const members = [...group.members.values()].sort(compare);
    const totals = { load: 0, shards: 0 };
    for (const m of members) {
      totals.load += m.load;
      totals.shards += m.shards;
    }
    for (const m of members) this.#row(m.id).update(m, totals);
    arrange(this.#body, members.map((m) => this.#rows.get(m.id).tr));
    setHidden(byId("members-empty"), members.length > 0);
  }

  // tick brings the ages up to date.
  tick(group) {
    const now = group.now();
    for (const [id, r] of this.#rows) r.tick(group.members.get(id), now);
  }

  #row(id) {
    if (!this.#rows.has(id)) this.#rows.set(id, new MemberRow(this.#choose));
    return this.#rows.get(id);
  }
}

// compare puts those that have ended last.
function compare(a, b) {
  return (a.state === "ended") - (b.state === "ended") || (a.pod < b.pod ? -1 : a.pod > b.pod ? 1 : a.id < b.id ? -1 : 1);
}

class MemberRow {
  constructor(choose) {
    const { tr, cells } = row(columns);
    this.tr = tr;
    this.cells = cells;
    this.pod = podName();
    const button = element("button", "plain", this.pod.e);
    button.type = "button";
    button.addEventListener("click", () => choose(tr.dataset.pod));
    this.button = button;
    this.problem = element("span", "problem");
    cells.name.append(button, this.problem);
    this.state = element("span");
    this.readiness = element("span", "pill not-ready", "not ready");
    cells.state.append(this.state, this.readiness);
    this.bar = element("span", "fill");
    this.share = element("span", "share-text");
    const track = element("span", "track", this.bar);
    track.setAttribute("aria-hidden", "true");
    cells.share.append(track, this.share);
  }

  update(m, totals) {
    setData(this.tr, "member", m.id);
    setData(this.tr, "pod", m.pod);
    setClass(this.tr, `member is-${m.state}`);
    this.pod.set(m.pod, m.identity);
    setText(this.problem, m.problem ?? "");
    setHidden(this.problem, !m.problem);
    this.button.setAttribute("aria-label", `${m.pod}: show its shards`);
    setClass(this.state, `pill ${m.state}`);
    setText(this.state, m.state === "live" && m.ready ? "ready" : m.state);
    setHidden(this.readiness, m.ready || m.state === "lapsed" || m.state === "ended");
    const share = totals.load > 0 ? m.load / totals.load : totals.shards > 0 ? m.shards / totals.shards : 0;
    setClass(this.bar, `fill ${hue(m.pod)}`);
    this.bar.style.inlineSize = `${share * 100}%`;
    setText(this.share, `${percent(share)} of ${totals.load > 0 ? "load" : "shards"}`);
    for (const child of this.cells.share.children) setHidden(child, m.state === "ended");
    setText(this.cells.shards, String(m.shards));
    this.cells.shards.title = count(m.shards, "shard");
    setText(this.cells.load, workers(m.load));
    setText(this.cells.revision, String(m.revision));
  }

  tick(m, now) {
    const at = instant(m.heartbeat);
    setText(this.cells.heartbeat, Number.isNaN(at) ? "never" : `${duration(now - at)} ago`);
  }
}
