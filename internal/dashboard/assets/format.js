// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// How times and amounts are told.

const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

// duration is that of milliseconds, in its two largest units: 3m20s.
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  for (let i = 0; i < units.length - 1; i++) {
    const [name, size] = units[i];
    const [nextName, nextSize] = units[i + 1];
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / nextSize);
      return rest > 0 ? `${Math.floor(seconds / size)}${name}${rest}${nextName}` : `${Math.floor(seconds / size)}${name}`;
    }
  }
  return `${seconds}s`;
}

// workers are thousandths of a worker as a number of them.
export const workers = (thousandths) => (thousandths / 1000).toFixed(2);

export const percent = (share) => `${Math.round(share * 100)} %`;

export const count = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });

// timeOfDay is that of a time in milliseconds, where the reader is.
export const timeOfDay = (at) => clock.format(at);

export const dateAndTime = (at) => full.format(at);

// instant reads a time of a message; NaN if there is none.
export const instant = (text) => (text ? Date.parse(text) : NaN);
