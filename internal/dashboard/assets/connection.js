// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// A stream of server-sent events that is opened again whenever it ends. EventSource
// is not used: it gives up on an answer of 503, does not say what the server said,
// and does not notice a connection that went dead without a word.

const silenceLimit = 16_000; // three times as long as the server is ever silent, in milliseconds
const firstWait = 500;
const longestWait = 8_000;

// follow never returns. It calls on.event with the name and the data of each event,
// on.open when a stream is there, and on.lost with a reason when there is none.
export async function follow(url, on) {
  for (let wait = firstWait; ; wait = Math.min(wait * 2, longestWait)) {
    let retryAfter = 0;
    try {
      const opened = await read(url, {
        ...on,
        open() {
          wait = firstWait;
          on.open();
        },
      });
      retryAfter = opened.retryAfter;
      on.lost(opened.reason);
    } catch (err) {
      on.lost(err.name === "AbortError" ? "the replica has gone silent" : "the replica cannot be reached");
    }
    await pause(Math.max(retryAfter, wait * (0.75 + Math.random() / 2)));
  }
}

// read reads one stream to its end, and says why it ended.
async function read(url, on) {
  const abort = new AbortController();
  const silence = { timer: 0 };
  const heard = () => {
    clearTimeout(silence.timer);
    silence.timer = setTimeout(() => abort.abort(), silenceLimit);
  };
  heard();
  try {
    const response = await fetch(url, { cache: "no-store", signal: abort.signal });
    if (!response.ok) return await refusal(response);
    on.open();
    const parser = new Parser(on.event);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { reason: "the replica has ended the connection", retryAfter: 0 };
      heard();
      parser.push(value);
    }
  } finally {
    clearTimeout(silence.timer);
    abort.abort();
  }
}

async function refusal(response) {
  const said = (await response.text()).trim().slice(0, 300);
  const seconds = Number(response.headers.get("Retry-After")) || 0;
  return { reason: said || `the answer was ${response.status} ${response.statusText}`, retryAfter: Math.min(seconds, 60) * 1000 };
}

// Parser reads the events that this server sends: lines that end with a line feed.
class Parser {
  #rest = "";
  #emit;

  constructor(emit) {
    this.#emit = emit;
  }

  push(text) {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      let data = "";
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) name = line.slice("event: ".length);
        if (line.startsWith("data: ")) data += line.slice("data: ".length);
      }
      if (data) this.#emit(name, JSON.parse(data));
    }
  }
}

// pause waits, but not while the browser says that there is a network again.
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
  });
}
