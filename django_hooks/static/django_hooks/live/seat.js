// A seat: one reader's place at a connection that it may share with others.
//
// A seat knows its own cursor and takes a frame only when nothing lies between the two. So it does
// not matter who leads, whether two do for a moment, or from how far back a connection begins: a
// frame it has is dropped, a gap is seen, and then it asks for a connection from its own cursor.

import { isAtOrBefore, sameEpoch } from "./cursor.js";
import { prefixOf } from "./receipts.js";
import { GONE } from "./stream.js";

/** Whether a session brings a need's channels and types from its cursor on. */
export function covers(session, { channels, types, cursor }) {
  return (
    channels.every((name) => session.channels.includes(name)) &&
    types.every((name) => session.types.includes(name)) &&
    (!cursor || (session.position !== "" && isAtOrBefore(session.position, cursor)))
  );
}

/**
 * What a reset means for a cursor: "missed" what cannot be had any more; "covered", for it is
 * behind the gap; or "wanting" a connection of its own position, for the gateway was asked from a
 * position further back and knows nothing of this one.
 */
export function afterReset(cursor, reset) {
  if (!sameEpoch(cursor, reset.cursor) || isAtOrBefore(cursor, reset.from)) return "missed";
  return isAtOrBefore(reset.cursor, cursor) ? "covered" : "wanting";
}

let seats = 0;

/**
 * Says through `on`: live(), lost(), frame({ type, id, data }, receipt), reset({ reason }), where
 * `receipt` is what receipts.js wants to know of a frame, or null. A circle that sends it away
 * gives it another one to `join`.
 */
export class Seat {
  cursor;
  channels;
  types;
  id = `${++seats}`;
  join;
  #on;
  #session = "";
  #begun = "";

  constructor({ cursor, channels, types, on, join }) {
    this.cursor = cursor;
    this.channels = channels;
    this.types = types;
    this.#on = on;
    this.join = join;
  }

  /** What it needs, as it is told to whoever leads. */
  need() {
    const { id, cursor, channels, types } = this;
    return { id, cursor, channels, types };
  }

  /** Hears what the leader says. Returns false when it must be asked for something better. */
  hear(message) {
    if (message.kind === "session") return this.#hearSession(message);
    if (message.session !== this.#session) return true;
    if (message.kind === "frame") return this.#hearFrame(message);
    if (message.kind === "reset") return this.#hearReset(message);
    if (message.kind === "lost") this.#on.lost();
    if (message.kind === "end") this.leave();
    return true;
  }

  /** Nobody serves it any more. */
  leave() {
    this.#session = "";
    this.#on.lost();
  }

  #hearSession(session) {
    if (!covers(session, this)) {
      this.leave();
      return false;
    }
    this.#session = session.id;
    if (!session.open) return true;
    if (!this.cursor) {
      // Without a position nobody knows what was missed: read anew, now that all that follows
      // will come.
      this.cursor = session.position;
      const begun = `${session.id} ${session.opens}`;
      if (begun !== this.#begun) this.#on.reset({ reason: "no cursor" });
      this.#begun = begun;
    }
    this.#on.live();
    return true;
  }

  #hearFrame({ from, id, type, data, openFor }) {
    if (this.cursor && !isAtOrBefore(from, this.cursor)) {
      this.leave();
      return false;
    }
    if (this.cursor && isAtOrBefore(id, this.cursor)) return true;
    this.cursor = id;
    const isGone = type === GONE;
    if (!isGone && !this.types.includes(type)) return true;
    const found = JSON.parse(data);
    const isOurs = found.channels?.some((name) => this.channels.includes(name)) ?? true;
    if (!isOurs) return true;
    // What happened cannot be shown; what there is now can be read anew.
    if (!isGone) this.#on.frame({ type, id, data: found }, receiptOf(data, found, openFor));
    else if (this.types.includes(found.type)) this.#on.reset({ reason: GONE, cursor: id });
    return true;
  }

  #hearReset(reset) {
    const meaning = afterReset(this.cursor, reset);
    if (meaning === "wanting") {
      this.leave();
      return false;
    }
    if (meaning === "missed") {
      this.cursor = reset.cursor;
      this.#on.reset({ reason: reset.reason, cursor: reset.cursor });
    }
    return true;
  }
}

function receiptOf(data, { at }, openFor) {
  if (openFor === undefined) return null;
  return { prefix: prefixOf(data), at: Date.parse(at), openedAt: performance.now() - openFor };
}
