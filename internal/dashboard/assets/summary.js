// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The figures at the top, and the bar of who holds how many.

import { arrange, byId, element, setClass, setText, setTitle } from "./dom.js";
import { count, percent } from "./format.js";
import { orphaned } from "./group.js";
import { hue } from "./hues.js";

// From what on an imbalance is told as one, and how many shards each member must have
// for that: with so many no more than this is left by numbers that do not divide.
const uneven = 0.25;
const enough = 4;

export class Summary {
  #shares = byId("shares");
  #segments = new Map(); // by Pod; those of nobody by ""

  show(group) {
    const s = group.summary;
    const unheld = s.shards - s.shardsHeld;
    const missing = s.members - s.membersReady;
    const troubled = [...group.members.values()].filter((m) => m.problem).length;
    const notes = [missing > 0 ? `${missing} not ready` : "", troubled > 0 ? `${troubled} with a problem` : ""].filter(Boolean);
    tile("members", `${s.membersReady} / ${s.members}`, notes.join(", ") || "all of them", notes.length > 0 ? "warn" : s.members > 0 ? "good" : "");
    tile("shards", `${s.shardsHeld} / ${s.shards}`, unheld > 0 ? `${unheld} unheld` : "all of them", unheld > 0 ? "bad" : s.shards > 0 ? "good" : "");
    tile("imbalance", `+${percent(Math.max(0, s.imbalance))}`, "most loaded, over the mean", s.imbalance > uneven && s.shards >= enough * s.members ? "warn" : "");
    tile("moves", String(s.moves), s.moves > 0 ? "changes of holder" : "nothing moves", "");
    const said = `${s.membersReady} of ${count(s.members, "member")} ready, ${s.shardsHeld} of ${count(s.shards, "shard")} held` + (unheld > 0 ? `, ${unheld} unheld` : "");
    setText(byId("spoken"), said);
    const title = [unheld > 0 ? `${unheld} unheld` : "", group.about.group, "shardctl"].filter(Boolean).join(" - ");
    if (document.title !== title) document.title = title;
    this.#bar(group);
  }

  #bar(group) {
    const held = new Map();
    for (const m of group.members.values()) if (m.state !== "ended") held.set(m.pod, 0);
    for (const sh of group.shards.values()) {
      if (sh.unserved) continue;
      const pod = orphaned(sh) ? "" : sh.holder;
      held.set(pod, (held.get(pod) ?? 0) + 1);
    }
    for (const [pod, segment] of this.#segments) {
      if (!held.has(pod)) {
        segment.remove();
        this.#segments.delete(pod);
      }
    }
    const pods = [...held.keys()].sort((a, b) => (a === "") - (b === "") || (a < b ? -1 : 1));
    for (const pod of pods) this.#segment(pod, held.get(pod));
    arrange(this.#shares, pods.map((pod) => this.#segments.get(pod)));
    const label = `Shards by holder: ${pods.map((pod) => `${pod || "nobody"} ${held.get(pod)}`).join(", ")}`;
    if (this.#shares.getAttribute("aria-label") !== label) this.#shares.setAttribute("aria-label", label);
  }

  #segment(pod, n) {
    if (!this.#segments.has(pod)) this.#segments.set(pod, element("span", "", element("span", "n")));
    const segment = this.#segments.get(pod);
    setClass(segment, pod === "" ? "segment none" : `segment ${hue(pod)}`);
    setTitle(segment, `${pod || "nobody"}: ${count(n, "shard")}`);
    setText(segment.firstElementChild, n > 0 ? String(n) : "");
    segment.style.flexGrow = String(n);
  }
}

function tile(name, figure, note, mood) {
  const e = byId(`tile-${name}`);
  setText(e.querySelector(".figure"), figure);
  setText(e.querySelector(".note"), note);
  setClass(e, `tile ${mood}`);
}
