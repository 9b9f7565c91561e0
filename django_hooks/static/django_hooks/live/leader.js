// The tab that leads: it holds the one connection and says to all what comes.
//
// It keeps what every tab's seats need and, when somebody is not served, begins a new session: a
// connection with all their channels, from the lowest of their cursors. What others have had of it,
// they drop (seat.js). A seat that is served stands at the session's position or behind its own
// cursor, whichever is later, and need not say so.

import { earlier, later, sameEpoch } from "./cursor.js";
import { prefixOf, promiseOf } from "./receipts.js";
import { afterReset, covers } from "./seat.js";
import { GONE, Stream } from "./stream.js";

const MOST_CHANNELS = 16;
// Tabs that open, or follow a new leader, in one moment are served by one session.
const GATHER_MS = 20;
const OPEN_WITHIN_MS = 2000;
// A tab says that it is there every two seconds; a hidden one may be held back to once a minute.
const SILENT_MS = 180000;
// Of two epochs one is over, and the gateway says so as soon as it is asked for it.
const EPOCH_TOLD_MS = 1000;

/**
 * `tell` brings a message to all seats of all tabs; `address` makes a connection's URL. `receipts`,
 * or null: { share, book }, of how many connections receipts are sent, and where they are noted.
 */
export class Leader {
  #tell;
  #address;
  #credentials;
  #renew;
  #receipts;
  #tabs = new Map();
  #session = null;
  #stream = null;
  #planTimer = 0;
  #planAt = Infinity;
  #openTimer = 0;
  #ended = false;

  constructor({ tell, address, credentials, renew, receipts }) {
    this.#tell = tell;
    this.#address = address;
    this.#credentials = credentials;
    this.#renew = renew;
    this.#receipts = receipts;
  }

  /** A tab says what its seats need; with an empty list it takes its leave. */
  serve(tab, needs) {
    this.#tabs.delete(tab);
    if (!needs.length) return;
    const seats = needs.map((need) => ({ ...need, tab, session: "" }));
    this.#tabs.set(tab, { heardAt: Date.now(), seats });
    if (this.#wanting().length) this.#planSoon();
    else this.#tellSession();
  }

  /** A tab says that it is there; `woke` when its computer has slept. */
  answer(tab, { woke = false } = {}) {
    const known = this.#tabs.get(tab);
    if (known) known.heardAt = Date.now();
    if (woke) this.#stream?.wake();
    this.#stream?.hurry();
    this.#tellSession();
  }

  /** Connects anew: the network is back. */
  reopen() {
    this.#stream?.reopen();
  }

  /** Ends the reign; another tab may begin one. */
  end() {
    this.#ended = true;
    clearTimeout(this.#planTimer);
    clearTimeout(this.#openTimer);
    this.#stream?.close();
    if (this.#session) this.#tell({ kind: "end", session: this.#session.id });
  }

  #seats() {
    return [...this.#tabs.values()].flatMap(({ seats }) => seats);
  }

  /** The seats that the session does not serve. */
  #wanting() {
    const session = this.#session;
    return this.#seats().filter((seat) => {
      if (!session) return true;
      if (seat.session !== session.id && covers(session, seat)) seat.session = session.id;
      return seat.session !== session.id;
    });
  }

  #planSoon() {
    const session = this.#session;
    const isUrgent = (seat) =>
      !session || !seat.cursor || sameEpoch(seat.cursor, session.position) || !session.position;
    let delay = GATHER_MS;
    if (!this.#wanting().some(isUrgent)) {
      if (!session.open) return; // Plans when it is.
      delay = EPOCH_TOLD_MS;
    }
    const at = Date.now() + delay;
    if (this.#planAt <= at) return;
    this.#planAt = at;
    clearTimeout(this.#planTimer);
    this.#planTimer = setTimeout(() => this.#plan(), delay);
  }

  #plan() {
    this.#planAt = Infinity;
    for (const [tab, { heardAt }] of this.#tabs) {
      if (Date.now() - heardAt > SILENT_MS) this.#tabs.delete(tab);
    }
    const { channels, types, tooMany } = union(this.#seats());
    this.#sendAway(tooMany);
    const wanting = this.#wanting();
    if (!wanting.length) return;
    const seats = this.#seats();
    for (const seat of seats) if (!wanting.includes(seat)) this.#bringUpToDate(seat);
    const [first] = [...wanting, ...seats].filter(({ cursor }) => cursor);
    const cursors = seats.map(({ cursor }) => cursor);
    const start = first
      ? cursors.filter((cursor) => sameEpoch(cursor, first.cursor)).reduce(earlier)
      : "";
    this.#begin({ channels, types, position: start });
  }

  /** Notes where a seat stands that has heard all of the session. */
  #bringUpToDate(seat) {
    seat.cursor = seat.cursor ? later(seat.cursor, this.#session.position) : this.#session.position;
  }

  #begin({ channels, types, position }) {
    this.#stream?.close();
    const promise = this.#drawPromise(types);
    const receipts = promise !== "";
    const session = { id: newId(), channels, types, position, receipts, open: false, opens: 0 };
    this.#session = session;
    this.#stream = new Stream({
      position,
      types,
      credentials: this.#credentials,
      renew: this.#renew,
      address: (from) => this.#address(channels, from, promise),
      on: {
        open: () => this.#opened(session),
        lost: () => this.#lost(session),
        refused: () => this.#findRefused(session),
        frame: (frame) => {
          session.position = frame.id;
          const more = this.#receive(session, frame);
          this.#tell({ kind: "frame", session: session.id, ...frame, ...more });
        },
        reset: (reset) => this.#reset(session, reset),
      },
    });
    // Whom it serves is settled before any frame comes.
    this.#wanting();
    this.#tellSession();
    this.#stream.open();
    clearTimeout(this.#openTimer);
    this.#openTimer = setTimeout(() => session.open || this.#lost(session), OPEN_WITHIN_MS);
  }

  /** What the connection's address promises: a share of all connections promises receipts. */
  #drawPromise(types) {
    return this.#receipts && Math.random() < this.#receipts.share ? promiseOf(types) : "";
  }

  /** Notes that a frame came. Returns what seats must know to say what became of it. */
  #receive(session, { type, data }) {
    if (!session.receipts || type === GONE) return {};
    this.#receipts.book.delivered(prefixOf(data));
    return { openFor: performance.now() - session.openedAt };
  }

  #opened(session) {
    session.open = true;
    session.openedAt = performance.now();
    session.opens++;
    this.#tellSession();
    if (this.#wanting().length) this.#planSoon();
  }

  #lost(session) {
    session.open = false;
    this.#tell({ kind: "lost", session: session.id });
  }

  #reset(session, reset) {
    session.position = reset.from;
    for (const seat of this.#seats()) {
      if (seat.session !== session.id) continue;
      this.#bringUpToDate(seat);
      const meaning = afterReset(seat.cursor, reset);
      if (meaning === "missed") seat.cursor = reset.cursor;
      if (meaning === "wanting") seat.session = "";
    }
    session.position = reset.cursor;
    this.#tell({ kind: "reset", session: session.id, ...reset });
    if (this.#wanting().length) this.#planSoon();
  }

  #tellSession() {
    const { wasLookedInto, openedAt, ...session } = this.#session ?? {};
    this.#tell({ kind: this.#session ? "session" : "here", ...session });
  }

  /** One seat's channel may be refused, and with it everybody's connection: asks for each alone. */
  async #findRefused(session) {
    const seats = this.#seats();
    if (session.wasLookedInto || seats.length < 2) return;
    session.wasLookedInto = true;
    const answers = new Map();
    for (const seat of seats) {
      const name = [...seat.channels].sort().join(" ");
      if (!answers.has(name)) answers.set(name, this.#isRefused(seat));
      seat.isRefused = await answers.get(name);
    }
    const refused = seats.filter((seat) => seat.isRefused);
    if (this.#ended || session !== this.#session || !refused.length) return;
    this.#sendAway(refused);
    this.#session = null;
    this.#planSoon();
  }

  async #isRefused({ channels, cursor }) {
    const stop = new AbortController();
    try {
      const credentials = this.#credentials ? "include" : "same-origin";
      const address = await this.#address(channels, cursor);
      const { status } = await fetch(address, { credentials, signal: stop.signal });
      return [400, 401, 403, 404].includes(status);
    } catch {
      return false;
    } finally {
      stop.abort();
    }
  }

  /** Has these seats take connections of their own. */
  #sendAway(seats) {
    for (const { tab, id } of seats) {
      const known = this.#tabs.get(tab);
      known.seats = known.seats.filter((seat) => seat.id !== id);
      this.#tell({ kind: "alone", tab, seat: id });
    }
  }
}

/** The channels and types of as many seats as one connection takes, the first ones first. */
function union(seats) {
  const [channels, types, tooMany] = [new Set(), new Set(), []];
  for (const seat of seats) {
    const all = new Set([...channels, ...seat.channels]);
    if (all.size > MOST_CHANNELS) {
      tooMany.push(seat);
      continue;
    }
    for (const name of seat.channels) channels.add(name);
    for (const name of seat.types) types.add(name);
  }
  return { channels: [...channels], types: [...types], tooMany };
}

/** An id that no other tab has; crypto.randomUUID is missing where a page came by plain HTTP. */
export function newId() {
  const parts = crypto.getRandomValues(new Uint32Array(3));
  return [...parts].map((part) => part.toString(36)).join("-");
}
