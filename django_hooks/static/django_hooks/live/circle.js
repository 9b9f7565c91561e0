// The circle: all tabs of the site, around one connection to the gateway.
//
// A browser allows six connections to an origin over HTTP/1.1, and a person may have twenty tabs.
// So one tab leads: the one that holds the Web Lock of the circle's name. It keeps the connection
// (leader.js) and posts what comes on a BroadcastChannel; every seat takes what it needs (seat.js).
//
// When the leader closes, its lock goes to the next tab, which connects from the lowest cursor any
// seat needs. A leader that is frozen or hangs keeps its lock: tabs ask it for a sign of life, and
// when none comes they steal the lock. Should the old leader still say something afterwards, no
// harm is done: a seat takes a frame only if nothing lies between the frame and its cursor.
//
// What tabs say: need { tab, seats }, ping { tab, woke }. What a leader says: lead, here,
// session { id, channels, types, position, open, opens }, frame, reset, lost, end,
// alone { tab, seat } (that seat must take a connection of its own).
//
// Where there are no Web Locks or no BroadcastChannel (old browsers, pages that came by plain HTTP,
// sandboxed frames) each tab is a circle of its own.

import { Leader, newId } from "./leader.js";
import { receiptsFor } from "./receipts.js";

// Part of the circle's name: tabs that were opened before a new release keep to themselves.
const PROTOCOL = 1;
const PULSE_MS = 2000;
const PULSES_UNTIL_LOST = 3;
const PULSES_UNTIL_STOLEN = 4;
const ASLEEP_MS = 30000;
const RENEW_WITHIN_MS = 10000;
// The timers of a hidden tab run once a minute.
const ASLEEP_HIDDEN_MS = 150000;

const circles = new Map();

/** Returns the circle for these settings: the one all tabs share, or a new one of the tab's own. */
export function circleFor({ gateway, credentials, token, renew, share, receipts }) {
  const base = new URL(`${gateway}/sub/`, document.baseURI).href;
  const settings = { gateway, base, credentials, token, renew, receipts, name: "" };
  // A token is for one page's channels.
  if (!share || token || !canShare()) return new Circle(settings);
  settings.name = `pushgate ${PROTOCOL} ${credentials} ${base}`;
  if (!circles.has(settings.name)) circles.set(settings.name, new Circle(settings));
  return circles.get(settings.name);
}

function canShare() {
  return Boolean(globalThis.isSecureContext && navigator.locks && globalThis.BroadcastChannel);
}

class Circle {
  #settings;
  #seats = new Set();
  #tab = newId();
  #isIn = false;
  #letters = null;
  #leader = null;
  #turn = null; // Our present request for the lock.
  #withdraw = null;
  #release = null;
  #isAsking = false;
  #missed = 0;
  #pulse = 0;
  #wasHidden = false;
  #timer = 0;

  constructor(settings) {
    this.#settings = settings;
    this.#watch();
  }

  add(seat) {
    this.#seats.add(seat);
    if (this.#isIn) this.#ask();
    else this.#join();
  }

  remove(seat) {
    if (!this.#seats.delete(seat)) return;
    if (this.#seats.size) this.#ask();
    else this.#leave();
  }

  #join() {
    this.#isIn = true;
    this.#missed = 0;
    this.#pulse = Date.now();
    this.#wasHidden = document.hidden;
    this.#timer = setInterval(() => this.#tick(), PULSE_MS);
    if (this.#settings.name) {
      try {
        this.#letters = new BroadcastChannel(this.#settings.name);
        this.#letters.onmessage = ({ data }) => this.#hear(data);
        this.#contend();
      } catch {
        this.#keepToOneself();
      }
    } else {
      this.#lead();
    }
    this.#ask();
  }

  #leave() {
    if (!this.#isIn) return;
    this.#isIn = false;
    clearInterval(this.#timer);
    this.#abdicate();
    this.#post({ kind: "need", tab: this.#tab, seats: [] });
    this.#turn = null;
    this.#withdraw?.abort();
    this.#release?.();
    this.#release = null;
    this.#letters?.close();
    this.#letters = null;
    for (const seat of [...this.#seats]) seat.leave();
  }

  // Leading

  #contend({ steal = false } = {}) {
    this.#withdraw?.abort();
    const turn = {};
    this.#turn = turn;
    this.#withdraw = steal ? null : new AbortController();
    const options = steal ? { steal } : { signal: this.#withdraw.signal };
    const hold = () => {
      if (turn !== this.#turn) return undefined;
      this.#lead();
      return new Promise((release) => {
        this.#release = release;
      });
    };
    navigator.locks.request(this.#settings.name, options, hold).catch((error) => {
      if (turn !== this.#turn) return;
      if (error.name === "AbortError") this.#dethroned();
      else this.#keepToOneself();
    });
  }

  #lead() {
    this.#leader = new Leader({
      tell: (message) => {
        this.#post(message);
        this.#give(message);
      },
      address: (...what) => this.#address(...what),
      credentials: this.#settings.credentials,
      renew: this.#settings.renew && (() => this.#renew()),
      receipts: this.#receipts(),
    });
    this.#post({ kind: "lead" });
    this.#ask();
  }

  /** Another tab took the lock, because we gave no sign of life. */
  #dethroned() {
    this.#release = null;
    this.#abdicate();
    this.#missed = 0;
    this.#contend();
    this.#ask();
  }

  #abdicate() {
    this.#leader?.end();
    this.#leader = null;
  }

  /** The browser does not let this page share. */
  #keepToOneself() {
    this.#settings = { ...this.#settings, name: "" };
    this.#letters?.close();
    this.#letters = null;
    this.#abdicate();
    this.#lead();
  }

  /** Has the site give a new cookie; whether it did is seen at the next connect. */
  async #renew() {
    const signal = AbortSignal.timeout(RENEW_WITHIN_MS);
    await fetch(this.#settings.renew, { cache: "no-store", signal });
  }

  #receipts() {
    const { gateway, receipts: share } = this.#settings;
    return share ? { share, book: receiptsFor(gateway) } : null;
  }

  async #address(channels, position, promise = "") {
    const { base, token } = this.#settings;
    const query = new URLSearchParams();
    if (promise) query.set("receipts", promise);
    if (position) query.set("last_event_id", position);
    if (token) query.set("token", typeof token === "function" ? await token() : token);
    return `${base}${channels.map(encodeURIComponent).join("/")}${query.size ? "?" : ""}${query}`;
  }

  // Talking

  #post(message) {
    this.#letters?.postMessage(message);
  }

  /** Says what our seats need, once for all that ask for it in one go. */
  #ask() {
    if (this.#isAsking || !this.#isIn) return;
    this.#isAsking = true;
    queueMicrotask(() => {
      this.#isAsking = false;
      if (!this.#isIn) return;
      const seats = [...this.#seats].map((seat) => seat.need());
      if (this.#leader) this.#leader.serve(this.#tab, seats);
      else this.#post({ kind: "need", tab: this.#tab, seats });
    });
  }

  #hear(message) {
    if (message.kind === "need") {
      this.#leader?.serve(message.tab, message.seats);
    } else if (message.kind === "ping") {
      this.#leader?.answer(message.tab, message);
    } else if (!this.#leader) {
      this.#missed = 0;
      if (message.kind === "lead") this.#ask();
      this.#give(message);
    }
  }

  #give(message) {
    for (const seat of [...this.#seats]) {
      if (message.kind === "alone") {
        if (message.tab === this.#tab && message.seat === seat.id) this.#sendAway(seat);
      } else if (!seat.hear(message)) {
        this.#ask();
      }
    }
  }

  #sendAway(seat) {
    this.remove(seat);
    seat.join(new Circle({ ...this.#settings, name: "" }));
  }

  // Staying alive

  #tick() {
    const silent = Date.now() - this.#pulse;
    const woke = silent > (this.#wasHidden ? ASLEEP_HIDDEN_MS : ASLEEP_MS);
    this.#pulse = Date.now();
    this.#wasHidden = document.hidden;
    if (this.#leader) {
      this.#leader.answer(this.#tab, { woke });
      return;
    }
    this.#missed++;
    if (this.#missed === PULSES_UNTIL_LOST) for (const seat of [...this.#seats]) seat.leave();
    if (this.#missed >= PULSES_UNTIL_STOLEN) {
      this.#missed = 0;
      this.#contend({ steal: true });
    }
    this.#post({ kind: "ping", tab: this.#tab, woke });
  }

  #watch() {
    const suspend = () => this.#leave();
    const resume = () => !this.#isIn && this.#seats.size && this.#join();
    // A lock or a stream would keep the page out of the browser's back-forward cache.
    addEventListener("pagehide", suspend);
    addEventListener("pageshow", resume);
    // A frozen page cannot lead; it also comes out of the cache as one.
    document.addEventListener("freeze", suspend);
    document.addEventListener("resume", resume);
    document.addEventListener("visibilitychange", () => this.#isIn && !document.hidden && this.#tick());
    addEventListener("online", () => this.#leader?.reopen());
  }
}
