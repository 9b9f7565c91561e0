// What a page has shown, so that nothing is shown twice and nothing old over something new.

const EVENTS_REMEMBERED = 2000;
const OBJECTS_REMEMBERED = 5000;
// More than the clocks of a site's servers differ.
const RENUMBERED_AFTER_MS = 60000;

/** Remembers events by id, and objects by the version shown. */
export class Seen {
  #events = new Bounded(EVENTS_REMEMBERED);
  #objects = new Bounded(OBJECTS_REMEMBERED);

  /** Whether this event's data is news; from then on it is not. */
  take({ event_id, object, version, at }) {
    if (event_id && this.#events.has(event_id)) return false;
    if (event_id) this.#events.set(event_id, true);
    if (!object || !version) return true;
    const time = Date.parse(at) || 0;
    const shown = this.#objects.get(object);
    // A lower version made long after the higher one: the site's database was made anew, or set
    // back, and counts from the start again.
    const isRenumbered = shown && shown.time && time > shown.time + RENUMBERED_AFTER_MS;
    if (shown && version <= shown.version && !isRenumbered) return false;
    this.#objects.set(object, { version, time });
    return true;
  }

  /** Forgets all: the page is about to read its data anew. */
  clear() {
    this.#events.clear();
    this.#objects.clear();
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
