// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The timeline: newest first. What happened to several shards in the same way at
// the same time, as when a member is lost, is told together.

import { byId, element, setHidden, setText } from "./dom.js";
import { count, dateAndTime, duration, instant, timeOfDay } from "./format.js";
import { podName } from "./hues.js";

const limit = 500; // as many as the replica keeps

// What is said of a kind, and of which sort it is.
const kinds = {
  "handed-over": ["handed over", "move"],
  "taken-over": ["taken over", "loss"],
  reclaimed: ["reclaimed after restart", "move"],
  acquired: ["acquired", "move"],
  released: ["released", "quiet"],
  added: ["added", "quiet"],
  removed: ["removed", "quiet"],
  joined: ["joined", "good"],
  rejoined: ["new session", "good"],
  leaving: ["leaving", "quiet"],
  left: ["left", "quiet"],
  cordoned: ["cordoned", "quiet"],
  uncordoned: ["uncordoned", "good"],
  lapsed: ["session lapsed", "loss"],
  returned: ["session goes on", "good"],
  ended: ["session ended", "loss"],
  vanished: ["Lease vanished", "loss"],
};

export class Timeline {
  #list = byId("entries");
  #newest = null; // the group of entries at the top

  constructor() {
    const only = byId("only-shards");
    only.addEventListener("click", () => {
      const pressed = only.getAttribute("aria-pressed") !== "true";
      only.setAttribute("aria-pressed", String(pressed));
      this.#list.classList.toggle("only-shards", pressed);
    });
  }

  // clear forgets all: a snapshot follows.
  clear() {
    this.#list.replaceChildren();
    this.#newest = null;
  }

  // add puts entries, oldest first, at the top.
  add(entries, group) {
    for (const e of entries) {
      if (this.#newest?.takes(e)) {
        this.#newest.add(e);
        continue;
      }
      this.#newest = new Entry(e, group);
      this.#list.prepend(this.#newest.li);
    }
    while (this.#list.childElementCount > limit) this.#list.lastElementChild.remove();
    setHidden(byId("timeline-empty"), this.#list.childElementCount > 0);
  }

  // tick brings the ages up to date.
  tick(group) {
    const now = group.now();
    for (const li of this.#list.children) {
      setText(li.querySelector(".ago"), `${duration(now - Number(li.dataset.at))} ago`);
    }
  }
}

class Entry {
  constructor(e, group) {
    const [text, sort] = kinds[e.kind] ?? [e.kind, "quiet"];
    this.first = e;
    this.shards = [e];
    const at = instant(e.at);
    this.subject = element("span", "subject", e.shard ?? e.member);
    this.body = element("div", "what", element("p", "headline", this.subject, " ", element("span", "verb", text)));
    const route = e.shard ? hands(e) : e.shards > 0 ? `it held ${count(e.shards, "shard")}` : "";
    if (route) this.body.append(element("p", "route", route));
    if (e.shard) this.#epochs();
    const time = element("time", "", timeOfDay(group.here(at)));
    time.dateTime = e.at;
    time.title = dateAndTime(group.here(at));
    const mark = element("span", `mark ${sort}`);
    mark.setAttribute("aria-hidden", "true");
    this.li = element("li", `entry ${e.shard ? "of-shard" : "of-member"}`, mark, this.body, element("div", "when", time, element("span", "ago")));
    this.li.dataset.kind = e.kind;
    this.li.dataset.at = String(at);
    this.li.dataset.from = e.from ?? "";
    this.li.dataset.to = e.to ?? "";
  }

  takes(e) {
    const f = this.first;
    return Boolean(e.shard) && e.at === f.at && e.kind === f.kind && e.from === f.from && e.to === f.to;
  }

  add(e) {
    this.shards.push(e);
    this.subject.textContent = count(this.shards.length, "shard");
    if (!this.which) {
      this.epoch.remove();
      this.which = element("ul", "which", which(this.shards[0]));
      const summary = element("summary", "", "show which");
      this.body.append(element("details", "", summary, this.which));
    }
    this.which.append(which(e));
  }

  #epochs() {
    this.epoch = element("span", "epoch", this.first.epoch ? `epoch ${this.first.epoch}` : "");
    this.body.querySelector(".route, .headline").append(" ", this.epoch);
  }
}

const which = (e) => element("li", "", element("span", "shard-name", e.shard), " ", element("span", "epoch", e.epoch ? `epoch ${e.epoch}` : ""));

// hands are those that the shard went through.
function hands(e) {
  const parts = element("span", "hands");
  const name = (pod) => {
    const n = podName();
    n.set(pod);
    return n.e;
  };
  if (e.from) parts.append(name(e.from));
  if (e.from && e.to) {
    // With what it points at, so that it never ends a line.
    parts.append(element("span", "", element("span", "arrow", element("span", "unseen", "to")), name(e.to)));
  } else if (e.to) {
    parts.append(name(e.to));
  }
  return parts.childElementCount > 0 ? parts : "";
}
