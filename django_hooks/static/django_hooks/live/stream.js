// One EventSource to the gateway, kept up.
//
// The browser's EventSource reconnects by itself after network errors. What it leaves to us: it
// gives up after any answer but 200, and it sleeps with the laptop.

import { delayMs } from "./backoff.js";

const JUST_OPENED_MS = 5000;

/** Stands where the frame of an event would be that no frame could be made of; data.type says. */
export const GONE = "gone";

/**
 * A stream that stands at `position` and goes on from there whatever happens to its connection.
 * Says through `on`: open(), lost(), refused() (the gateway did not answer 200),
 * frame({ from, id, type, data }) and reset({ from, cursor, reason }), where `from` is the position
 * before: nothing lies between the two.
 */
export class Stream {
  position;
  #address;
  #types;
  #credentials;
  #renew; // Or "".
  #wasRefused = false;
  #on;
  #source = null;
  #turn = null;
  #attempt = 0;
  #timer = 0;
  #reopenAt = 0;
  #openedAt = 0;

  constructor({ position, address, types, credentials, renew, on }) {
    this.position = position;
    this.#address = address;
    this.#types = types;
    this.#credentials = credentials;
    this.#renew = renew;
    this.#on = on;
  }

  async open() {
    this.close();
    const turn = {};
    this.#turn = turn;
    this.#openedAt = Date.now();
    let address;
    try {
      if (this.#wasRefused && this.#renew) await this.#renew();
      address = await this.#address(this.position);
    } catch {
      // The cookie or the token could not be had.
      if (turn === this.#turn) this.#openLater();
      return;
    }
    if (turn !== this.#turn) return;
    const source = new EventSource(address, { withCredentials: this.#credentials });
    this.#source = source;
    source.addEventListener("open", () => {
      this.#attempt = 0;
      this.#wasRefused = false;
      this.#on.open();
    });
    source.addEventListener("error", (event) => this.#failed(event));
    source.addEventListener("reset", (event) => this.#reset(event));
    for (const type of new Set([...this.#types, GONE])) {
      source.addEventListener(type, (event) => this.#take(event));
    }
  }

  close() {
    this.#turn = null;
    clearTimeout(this.#timer);
    this.#reopenAt = 0;
    this.#source?.close();
    this.#source = null;
  }

  /** Connects anew after the computer has slept: every tab says so. */
  wake() {
    if (Date.now() - this.#openedAt > JUST_OPENED_MS) this.reopen();
  }

  /** Connects anew at once. */
  reopen() {
    this.#on.lost();
    this.open();
  }

  /** Connects if it is time to: the timers of hidden tabs are late by up to a minute. */
  hurry() {
    if (this.#reopenAt && Date.now() >= this.#reopenAt) this.open();
  }

  #failed(event) {
    this.#on.lost();
    // An `event: error` of the gateway has data: it refuses for now and says when to come again.
    if (event.data !== undefined || this.#source.readyState !== EventSource.CLOSED) return;
    // What has expired is renewed first; only then is it a refusal.
    const mayHaveExpired = this.#renew && !this.#wasRefused;
    this.#wasRefused = true;
    this.#openLater();
    if (!mayHaveExpired) this.#on.refused();
  }

  #openLater() {
    this.close();
    const delay = delayMs(this.#attempt++);
    this.#reopenAt = Date.now() + delay;
    this.#timer = setTimeout(() => this.open(), delay);
  }

  #take({ type, data, lastEventId }) {
    const from = this.position;
    this.position = lastEventId || from;
    this.#on.frame({ from, id: this.position, type, data });
  }

  #reset(event) {
    const from = this.position;
    let what = {};
    try {
      what = JSON.parse(event.data);
    } catch {
      // A reset without a reason is a reset.
    }
    this.position = what.cursor || event.lastEventId || from;
    this.#on.reset({ from, cursor: this.position, reason: what.reason ?? "" });
  }
}
