// What a page holds: its events, each once; its state; and what to do about a gap.

import { delayMs } from "./backoff.js";
import { circleFor } from "./circle.js";
import { receiptsFor } from "./receipts.js";
import { Seat } from "./seat.js";
import { Seen } from "./seen.js";

const STALE_AFTER_MS = 10000;
const MOST_CHANNELS = 16;
// A page that reads its data for so long reads it once more instead.
const MOST_HELD = 2000;

/** Opens a live connection; the head of live.js has the options. Returns it. */
export function connect(options) {
  return new LiveConnection(options);
}

const DEFAULTS = {
  gateway: "",
  cursor: "",
  types: [],
  onEvent() {},
  onReset() {},
  onState() {},
  pauseHidden: false,
  share: true,
  credentials: false,
  token: "",
  renew: "",
  receipts: 0,
};

class LiveConnection {
  #options;
  #seat;
  #circle;
  #isPaused = false;
  #seen = new Seen();
  #receipts = null;
  #isLive = false; // What the stream says; `state` knows of mending and of the network too.
  #held = null; // Events that came while a reset is being mended.
  #mendAgain = false;
  #closed = false;
  #staleTimer = 0;
  #stops = new AbortController();

  state = "";

  constructor(options) {
    this.#options = { ...DEFAULTS, ...options };
    const { cursor, types, gateway, receipts } = this.#options;
    const channels = [...new Set(this.#options.channels)];
    if (!channels.length || channels.length > MOST_CHANNELS) {
      throw new RangeError(`channels: ${channels.length} names; use 1 to ${MOST_CHANNELS}`);
    }
    if (!(receipts >= 0 && receipts <= 1)) {
      throw new RangeError(`receipts: ${receipts}; use a share from 0 to 1`);
    }
    if (receipts) this.#receipts = receiptsFor(gateway);
    this.#seat = new Seat({
      cursor: cursor || "",
      channels,
      types: [...new Set(types)],
      join: (circle) => this.#join(circle),
      on: {
        live: () => this.#went(true),
        lost: () => this.#went(false),
        frame: (...frame) => this.#take(frame),
        reset: (what) => this.#mend(what),
      },
    });
    this.#setState("catching up");
    this.#watch();
    this.#circle = circleFor(this.#options);
    this.#circle.add(this.#seat);
    this.#look();
  }

  /** The position from which another connection would go on. */
  get cursor() {
    return this.#seat.cursor;
  }

  /** Has the page read its data anew, as after a gap. */
  readAnew() {
    this.#mend({ reason: "asked", cursor: this.cursor });
  }

  /** Ends the connection for good. */
  close() {
    this.#closed = true;
    this.#stops.abort();
    clearTimeout(this.#staleTimer);
    this.#circle.remove(this.#seat);
  }

  #join(circle) {
    this.#circle = circle;
    circle.add(this.#seat);
  }

  #went(isLive) {
    this.#isLive = isLive;
    if (this.#closed) return;
    // A browser without a network does not hear that its connection is gone.
    if (isLive && !this.#held && navigator.onLine) this.#setState("live");
    else if (!isLive && this.state === "live") this.#setState("catching up");
  }

  /** A frame is an event as the page gets it, and a receipt or null. */
  #take(frame) {
    if (this.#closed) return;
    if (!this.#held) {
      this.#deliver(frame);
    } else if (this.#held.push(frame) > MOST_HELD) {
      this.#hold();
      this.#mendAgain = true;
    }
  }

  #deliver([item, receipt]) {
    if (this.#closed) return;
    const receipts = receipt && this.#receipts;
    if (!this.#seen.take(item.data)) {
      receipts?.known(receipt);
      return;
    }
    try {
      const showing = this.#options.onEvent(item);
      if (receipts) this.#acknowledge(showing, receipt);
    } catch (error) {
      // One event a page cannot show does not cost it the next.
      receipts?.failed(receipt);
      reportError(error);
    }
  }

  /** Notes that the page has shown an event, or will have when the promise it returned is kept. */
  #acknowledge(showing, receipt) {
    if (typeof showing?.then !== "function") {
      this.#receipts.shown(receipt);
      return;
    }
    showing.then(
      () => this.#receipts.shown(receipt),
      (error) => {
        this.#receipts.failed(receipt);
        throw error; // Rather told twice, where the page handles it, than swallowed.
      },
    );
  }

  /** Has events wait; those that waited already are in what the page reads anew. */
  #hold() {
    for (const [, receipt] of this.#held ?? []) if (receipt) this.#receipts?.known(receipt);
    this.#held = [];
  }

  /** Has the page read its data anew. Events that come meanwhile wait: they are newer or known. */
  async #mend(what) {
    if (this.#closed) return;
    const alreadyMending = this.#held !== null;
    this.#hold();
    this.#seen.clear();
    if (this.state === "live") this.#setState("catching up");
    if (alreadyMending) {
      this.#mendAgain = true;
      return;
    }
    for (let attempt = 0; !this.#closed; attempt++) {
      this.#mendAgain = false;
      try {
        await this.#options.onReset(what);
        if (!this.#mendAgain) break;
      } catch (error) {
        console.warn("live.js: the page's data could not be read anew; trying again", error);
        await new Promise((done) => setTimeout(done, delayMs(attempt)));
      }
    }
    const held = this.#held;
    this.#held = null;
    held.forEach((frame) => this.#deliver(frame));
    this.#went(this.#isLive);
  }

  #setState(state) {
    if (state === this.state) return;
    clearTimeout(this.#staleTimer);
    if (state === "catching up") {
      this.#staleTimer = setTimeout(() => this.#setState("stale"), STALE_AFTER_MS);
    }
    this.state = state;
    try {
      this.#options.onState(state);
    } catch (error) {
      reportError(error);
    }
  }

  #watch() {
    const { signal } = this.#stops;
    addEventListener("offline", () => this.#setState("stale"), { signal });
    addEventListener("online", () => this.#setState("catching up"), { signal });
    document.addEventListener("visibilitychange", () => this.#look(), { signal });
  }

  /** Leaves the stream while nobody looks, if that was asked for, and comes back to it. */
  #look() {
    const isToPause = this.#options.pauseHidden && document.hidden;
    if (isToPause === this.#isPaused) return;
    this.#isPaused = isToPause;
    if (isToPause) {
      this.#circle.remove(this.#seat);
      this.#seat.leave();
      this.#setState("stale");
    } else {
      this.#setState("catching up");
      this.#circle.add(this.#seat);
    }
  }
}
