// The page's end of the stream: one ES module, no dependency, no build step.
//
//   import { connect } from "/static/django_hooks/live.js";
//   connect({
//     gateway: "https://push.example.org",       // "" for the page's own origin
//     channels: ["thread:42"],
//     cursor: "{% push_cursor %}",               // taken before the page's query
//     types: ["comment.created"],                // what to listen for
//     onEvent: ({ type, data, id }) => {},       // each event once, an object's in order
//     onReset: async ({ reason }) => {},         // the stream has a gap: read the data anew
//     onState: (state) => {},                    // "live", "catching up" or "stale"
//   });
//
// The browser's EventSource reconnects by itself after network errors. What it leaves to us: it
// gives up after any answer but 200, it sleeps with the laptop, and it may bring a frame twice.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30000;
const STALE_AFTER_MS = 10000;
const PULSE_MS = 5000;
const ASLEEP_MS = 30000;
const EVENTS_REMEMBERED = 2000;
const OBJECTS_REMEMBERED = 5000;

/** Opens a live connection; see the head of this file. Returns it: `.state`, `.close()`. */
export function connect(options) {
  return new LiveConnection(options);
}

class LiveConnection {
  #options;
  #source = null;
  #cursor;
  #attempt = 0;
  #closed = false;
  #seen = new Bounded(EVENTS_REMEMBERED);
  #versions = new Bounded(OBJECTS_REMEMBERED);
  #mendAgain = false;
  #held = null; // Events that came while a reset is being mended.
  #reopenTimer = 0;
  #staleTimer = 0;
  #pulse = Date.now();
  #stops = new AbortController();

  state = "";

  constructor(options) {
    this.#options = { gateway: "", cursor: "", onReset() {}, onState() {}, ...options };
    this.#cursor = this.#options.cursor;
    this.#setState("catching up");
    this.#open();
    this.#watch();
  }

  /** Ends the connection for good. */
  close() {
    this.#closed = true;
    this.#stops.abort();
    clearTimeout(this.#staleTimer);
    this.#shut();
  }

  #open() {
    this.#shut();
    const { gateway, channels, types } = this.#options;
    const path = channels.map(encodeURIComponent).join("/");
    const query = this.#cursor ? `?last_event_id=${encodeURIComponent(this.#cursor)}` : "";
    const source = new EventSource(`${gateway}/sub/${path}${query}`);
    this.#source = source;
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", (event) => this.#failed(event));
    source.addEventListener("reset", (event) => this.#reset(event));
    for (const type of types) source.addEventListener(type, (event) => this.#take(event));
  }

  #shut() {
    clearTimeout(this.#reopenTimer);
    this.#source?.close();
    this.#source = null;
  }

  #opened() {
    this.#attempt = 0;
    // Without a position nobody knows what was missed: read anew. The position itself comes with
    // the first event.
    if (!this.#cursor) this.#mend({ reason: "no cursor" });
    else if (!this.#held) this.#setState("live");
  }

  #failed(event) {
    // An `event: error` of the gateway has data: it refuses for now and says when to come again.
    this.#setState(this.state === "stale" ? "stale" : "catching up");
    if (event.data !== undefined || this.#source.readyState !== EventSource.CLOSED) return;
    this.#reopenLater();
  }

  #reopenLater() {
    // Full jitter: a thousand pages that lost the same gateway do not come back in one instant.
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempt++);
    this.#shut();
    this.#reopenTimer = setTimeout(() => this.#open(), Math.random() * longest);
  }

  #take(event) {
    if (event.lastEventId) this.#cursor = event.lastEventId;
    const item = { type: event.type, id: event.lastEventId, data: JSON.parse(event.data) };
    if (this.#held) this.#held.push(item);
    else this.#deliver(item);
  }

  #deliver(item) {
    const { event_id, object, version } = item.data;
    if (event_id && this.#seen.has(event_id)) return;
    if (event_id) this.#seen.set(event_id, true);
    if (object && version) {
      if (version <= (this.#versions.get(object) ?? 0)) return;
      this.#versions.set(object, version);
    }
    this.#options.onEvent(item);
  }

  #reset(event) {
    if (event.lastEventId) this.#cursor = event.lastEventId;
    let what = {};
    try {
      what = JSON.parse(event.data);
    } catch {
      // A reset without a reason is a reset.
    }
    if (what.cursor) this.#cursor = what.cursor;
    this.#mend(what);
  }

  /** Has the page read its data anew. Events that come meanwhile wait: they are newer or known. */
  async #mend(what) {
    const alreadyMending = this.#held !== null;
    this.#held = [];
    this.#versions.clear();
    this.#seen.clear();
    this.#setState("catching up");
    if (alreadyMending) {
      this.#mendAgain = true;
      return;
    }
    for (let attempt = 0; !this.#closed; attempt++) {
      this.#mendAgain = false;
      try {
        await this.#options.onReset(what);
        if (!this.#mendAgain) break;
      } catch {
        const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
        await new Promise((done) => setTimeout(done, Math.random() * longest));
      }
    }
    const held = this.#held;
    this.#held = null;
    if (this.#closed) return;
    held.forEach((item) => this.#deliver(item));
    if (this.#source?.readyState === EventSource.OPEN) this.#setState("live");
  }

  #setState(state) {
    if (state === this.state) return;
    clearTimeout(this.#staleTimer);
    if (state === "catching up") {
      this.#staleTimer = setTimeout(() => this.#setState("stale"), STALE_AFTER_MS);
    }
    this.state = state;
    this.#options.onState(state);
  }

  /** Comes back at once when the network, the laptop or the page does. */
  #watch() {
    const listen = (name, act) => addEventListener(name, act, { signal: this.#stops.signal });
    const reopen = () => {
      this.#setState("catching up");
      this.#open();
    };
    listen("offline", () => this.#setState("stale"));
    listen("online", reopen);
    // An open stream would keep the page out of the browser's back-forward cache.
    listen("pagehide", () => this.#shut());
    listen("pageshow", (event) => event.persisted && reopen());
    const timer = setInterval(() => {
      const asleep = Date.now() - this.#pulse > ASLEEP_MS && !document.hidden;
      this.#pulse = Date.now();
      if (asleep) reopen();
    }, PULSE_MS);
    this.#stops.signal.addEventListener("abort", () => clearInterval(timer));
  }
}

/** A map that forgets what was set longest ago. */
class Bounded extends Map {
  #size;

  constructor(size) {
    super();
    this.#size = size;
  }

  set(key, value) {
    this.delete(key);
    super.set(key, value);
    if (this.size > this.#size) this.delete(this.keys().next().value);
    return this;
  }
}
