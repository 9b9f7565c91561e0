// Receipts: what became of frames, told to the gateway, for a share of the browsers.
//
// The tab that holds the connection draws whether it promises receipts for all the connection
// brings, and says so in its address (leader.js). It then says of each frame that it came, once;
// and each page that is told of it says whether it painted it, and when. Nothing is said of who
// reads: a channel's prefix, the frame's own time, and milliseconds. Nothing is sent again, and
// nothing waits for it.
//
// A page's clock may be wrong, so times are told as "so long ago".

// Between two sendings; a page's own is drawn from one to two of these, so that those who were
// told together do not answer together.
const PAUSE_MS = 5000;
// What one sending holds: frames painted beyond that are counted without their times.
const MOST_TIMES = 100;
const MOST_PREFIXES = 20;
const MOST_PREFIX_LETTERS = 40;
const MOST_COUNT = 100000;
// The gateway's bounds of a promise (lua/pushgate/awaited.lua).
const MOST_TYPES = 64;
const MOST_PROMISE_LETTERS = 2000;

const OTHER = "other";
const FIRST_LINE = "pushgate-receipts 1";

const books = new Map();

/** Returns where a page notes what became of this gateway's frames. */
export function receiptsFor(gateway) {
  const address = new URL(`${gateway}/receipts`, document.baseURI).href;
  if (!books.has(address)) books.set(address, new Receipts(address));
  return books.get(address);
}

/** What a connection that brings these types says in its address; "" when it cannot promise. */
export function promiseOf(types) {
  const text = types.join(" ");
  return types.length <= MOST_TYPES && text.length <= MOST_PROMISE_LETTERS ? text : "";
}

/** The prefix of a frame's first channel, by the text of its data, as the gateway finds it. */
export function prefixOf(data) {
  const prefix = /"channels":\s*\[\s*"([a-z0-9][a-z0-9_@.-]*):/.exec(data)?.[1] ?? OTHER;
  return prefix.length > MOST_PREFIX_LETTERS ? OTHER : prefix;
}

/** What a page sends next: bounded, however many frames come. */
class Batch {
  #prefixes = new Set([OTHER]);
  #counts = new Map();
  #paints = [];

  get isEmpty() {
    return !this.#counts.size && !this.#paints.length;
  }

  count(outcome, prefix) {
    const name = `${outcome} ${this.#known(prefix)}`;
    this.#counts.set(name, Math.min(MOST_COUNT, (this.#counts.get(name) ?? 0) + 1));
  }

  paint(receipt, paintedAt) {
    if (this.#paints.length < MOST_TIMES && receipt.at > 0) {
      this.#paints.push({ ...receipt, prefix: this.#known(receipt.prefix), paintedAt });
    } else {
      this.count("untimed", receipt.prefix);
    }
  }

  text(now) {
    const ago = (time) => Math.round(now - time);
    const counts = [...this.#counts].map(([name, amount]) => `${name} ${amount}`);
    const paints = this.#paints.map(
      ({ prefix, at, paintedAt, openedAt }) =>
        `painted ${prefix} ${at} ${ago(paintedAt)} ${ago(openedAt)}`,
    );
    return [FIRST_LINE, ...counts, ...paints].join("\n");
  }

  #known(prefix) {
    if (this.#prefixes.size <= MOST_PREFIXES) this.#prefixes.add(prefix);
    return this.#prefixes.has(prefix) ? prefix : OTHER;
  }
}

/**
 * Notes outcomes, and sends them in batches. A receipt is { prefix, at, openedAt }: the frame's own
 * time in milliseconds since 1970 (NaN when it has none), and when its stream was opened, by
 * performance.now().
 */
class Receipts {
  #address;
  #batch = new Batch();
  #shown = []; // What waits for a paint.
  #painting = []; // What the paint that is being made shows.
  #isFrameAsked = false;
  #timer = 0;

  constructor(address) {
    this.#address = address;
    const leave = () => this.#leave();
    addEventListener("pagehide", leave);
    document.addEventListener("freeze", leave);
    document.addEventListener("visibilitychange", () => document.hidden && leave());
  }

  /** The connection brought a frame. */
  delivered(prefix) {
    this.#note("delivered", prefix);
  }

  /** The page had it already, by its query or a newer version, or is about to read it anew. */
  known({ prefix }) {
    this.#note("known", prefix);
  }

  /** The page could not show it. */
  failed({ prefix }) {
    this.#note("failed", prefix);
  }

  /** The page has shown it: it is painted with the next frame that the browser makes. */
  shown(receipt) {
    if (document.hidden) {
      this.#note("hidden", receipt.prefix);
      return;
    }
    this.#shown.push({ ...receipt, shownAt: performance.now() });
    this.#askForFrame();
    this.#sendLater();
  }

  #note(outcome, prefix) {
    this.#batch.count(outcome, prefix);
    this.#sendLater();
  }

  #askForFrame() {
    if (this.#isFrameAsked) return;
    this.#isFrameAsked = true;
    requestAnimationFrame(() => {
      this.#isFrameAsked = false;
      this.#painting.push(...this.#shown.splice(0));
      // The browser paints behind this callback and before the next task.
      setTimeout(() => this.#hasPainted());
    });
  }

  #hasPainted() {
    const now = performance.now();
    for (const receipt of this.#painting.splice(0)) this.#batch.paint(receipt, now);
  }

  /** What was not painted by now will not be seen: the browser makes no frames for this page. */
  #giveUpOn(receipts) {
    for (const { prefix } of receipts) this.#batch.count("hidden", prefix);
  }

  #sendLater() {
    this.#timer ||= setTimeout(() => this.#send(), PAUSE_MS * (1 + Math.random()));
  }

  #send() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const now = performance.now();
    const isOld = ({ shownAt }) => now - shownAt > PAUSE_MS;
    this.#giveUpOn(this.#shown.filter(isOld));
    this.#shown = this.#shown.filter((receipt) => !isOld(receipt));
    if (this.#shown.length) this.#sendLater();
    if (this.#batch.isEmpty) return;
    const text = this.#batch.text(now);
    this.#batch = new Batch();
    send(this.#address, text);
  }

  /** The page is put away, perhaps for good. */
  #leave() {
    this.#giveUpOn([...this.#painting.splice(0), ...this.#shown.splice(0)]);
    this.#send();
  }
}

/**
 * Sends a text that outlives the page. A beacon would bring cookies and the page's address along,
 * and is what some browsers' policies hide the origin of; it is for browsers without the other.
 */
function send(address, body) {
  if (!("keepalive" in Request.prototype)) {
    navigator.sendBeacon?.(address, body);
    return;
  }
  const options = { method: "POST", body, keepalive: true, credentials: "omit" };
  fetch(address, { ...options, referrerPolicy: "no-referrer", cache: "no-store" }).catch(() => {});
}
