// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// The table of shards, and what of it is shown.

import { arrange, byId, element, restart, row, setClass, setData, setHidden, setText } from "./dom.js";
import { dateAndTime, duration, instant, workers } from "./format.js";
import { orphaned } from "./group.js";
import { podName } from "./hues.js";

const columns = [
  ["name", "Shard", "name"],
  ["state", "State", "state-cell"],
  ["holder", "Holder", "holder"],
  ["epoch", "Epoch", "number"],
  ["age", "Age", "number age"],
  ["load", "Load", "number"],
];

const names = new Intl.Collator("en", { numeric: true }); // bucket 2 before bucket 10

export class Shards {
  #body = byId("shard-rows");
  #filter = byId("filter");
  #attention = byId("attention");
  #rows = new Map(); // by name

  constructor() {
    this.#filter.addEventListener("input", () => this.#sift());
    this.#filter.addEventListener("keydown", (e) => {
      if (e.key === "Escape") this.choose("");
    });
    this.#attention.addEventListener("click", () => {
      this.#attention.setAttribute("aria-pressed", String(!this.#onlyAttention()));
      this.#sift();
    });
    document.addEventListener("keydown", (e) => {
      if (e.key === "/" && !e.ctrlKey && !e.metaKey && !e.altKey && document.activeElement !== this.#filter) {
        e.preventDefault();
        this.#filter.focus();
      }
    });
  }

  // choose shows what a text is found in.
  choose(text) {
    this.#filter.value = text;
    this.#sift();
  }

  // show brings the table up to date; order says that rows came, went or are to be
  // at another place, fresh that nothing is known of what was before.
  show(group, { order, fresh }) {
    for (const [name, r] of this.#rows) {
      if (!group.shards.has(name)) {
        r.tr.remove();
        this.#rows.delete(name);
      }
    }
    for (const sh of group.shards.values()) {
      const known = this.#rows.get(sh.name);
      if (known?.shard === sh) continue;
      const r = known ?? new ShardRow();
      this.#rows.set(sh.name, r);
      r.update(sh, !fresh);
    }
    if (order) {
      const sorted = [...group.shards.values()].sort((a, b) => orphaned(b) - orphaned(a) || names.compare(a.name, b.name));
      arrange(this.#body, sorted.map((sh) => this.#rows.get(sh.name).tr));
    }
    this.#sift();
  }

  // tick brings the ages up to date.
  tick(group) {
    const now = group.now();
    for (const r of this.#rows.values()) r.tick(now);
  }

  #onlyAttention() {
    return this.#attention.getAttribute("aria-pressed") === "true";
  }

  #sift() {
    const words = this.#filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = this.#onlyAttention();
    let shown = 0;
    let attention = 0;
    for (const r of this.#rows.values()) {
      if (r.attention) attention++;
      const show = (!only || r.attention) && words.every((word) => r.text.includes(word));
      setHidden(r.tr, !show);
      if (show) shown++;
    }
    setText(byId("attention-count"), String(attention));
    setClass(byId("attention-count"), attention > 0 ? "badge some" : "badge");
    setText(byId("shards-count"), shown === this.#rows.size ? String(shown) : `${shown} of ${this.#rows.size}`);
    setHidden(byId("shards-empty"), shown > 0);
    setText(byId("shards-empty"), this.#rows.size === 0 ? "No shards yet." : "No shard is like that.");
  }
}

class ShardRow {
  constructor() {
    const { tr, cells } = row(columns);
    this.tr = tr;
    this.cells = cells;
    this.name = element("span", "shard-name");
    this.problem = element("span", "problem");
    cells.name.append(this.name, this.problem);
    this.state = element("span");
    cells.state.append(this.state);
    this.pod = podName();
    this.nobody = element("span", "nobody", "nobody");
    this.note = element("span", "note");
    cells.holder.append(this.pod.e, this.nobody, this.note);
  }

  update(sh, flash) {
    const unheld = sh.state === "unheld";
    const moved = this.shard && (this.shard.identity !== sh.identity || this.shard.epoch !== sh.epoch || this.shard.state !== sh.state);
    this.shard = sh;
    const state = sh.unserved ? "unserved" : sh.state;
    this.attention = !sh.unserved && (unheld || Boolean(sh.problem) || sh.state === "foreign");
    this.text = [sh.name, state, sh.holder, sh.pin, sh.problem].join(" ").toLowerCase();
    setData(this.tr, "shard", sh.name);
    setClass(this.tr, `shard is-${state}`);
    setText(this.name, sh.name);
    setText(this.problem, sh.problem ?? "");
    setHidden(this.problem, !sh.problem);
    setClass(this.state, `pill ${state}`);
    setText(this.state, state);
    setHidden(this.pod.e, unheld);
    setHidden(this.nobody, !unheld);
    if (!unheld) this.pod.set(sh.holder, sh.identity);
    const note = [];
    if (unheld && sh.holder) note.push(`was ${sh.holder}`);
    if (sh.pin && (unheld || sh.pin !== sh.holder)) note.push(`pinned to ${sh.pin}`);
    setText(this.note, note.join(", "));
    setHidden(this.note, note.length === 0);
    setText(this.cells.epoch, sh.epoch > 0 ? String(sh.epoch) : "-");
    setText(this.cells.load, workers(sh.load));
    this.since = instant(unheld ? sh.unheldSince : sh.since);
    this.cells.age.title = Number.isNaN(this.since) ? "" : `${unheld ? "unheld" : "held"} since ${dateAndTime(this.since)}`;
    if (flash && moved) restart(this.tr, "flash");
  }

  tick(now) {
    setText(this.cells.age, Number.isNaN(this.since) ? "-" : duration(now - this.since));
  }
}
