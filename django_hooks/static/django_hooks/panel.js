// The control panel's script: keeps what is marked `data-live` up to date.
//
// The stream carries no figures, only "look again"; the figures come from the site, which knows who
// may see them. Where the stream is away the page asks by itself every few seconds. Without this
// script the panel is a page like any other.

const POLL_MS = 5000;
const POLL_WHILE_LIVE_MS = 20000;
const SHORTEST_PAUSE_MS = 700;

class LivePart {
  #element;
  #status;
  #live = false;
  #busy = false;
  #again = false;
  #timer = 0;

  constructor(element, status) {
    this.#element = element;
    this.#status = status;
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    this.#rest();
    this.#say("Updated every few seconds");
  }

  /** Follows the gateway's stream, if there is one. */
  async listen({ module, gateway, channel, type }) {
    if (!module) return;
    const { connect } = await import(module);
    connect({
      gateway,
      channels: [channel],
      types: [type],
      onEvent: () => this.look(),
      onReset: () => this.look(),
      onState: (state) => {
        this.#live = state === "live";
        this.#say(this.#live ? "Live" : "Updated every few seconds; the stream is away");
        this.#rest();
      },
    });
  }

  /** Asks for the part anew; many calls at once are one or two. */
  async look() {
    if (this.#busy || document.hidden) {
      this.#again = this.#busy;
      return;
    }
    this.#busy = true;
    this.#again = false;
    clearTimeout(this.#timer);
    try {
      await this.#fetch();
    } catch {
      this.#say("The site does not answer; these figures are old", "away");
    }
    await new Promise((done) => setTimeout(done, SHORTEST_PAUSE_MS));
    this.#busy = false;
    if (this.#again) this.look();
    else this.#rest();
  }

  async #fetch() {
    const answer = await fetch(this.#element.dataset.url, { credentials: "same-origin" });
    if (answer.redirected || answer.status === 403) {
      this.#say("You may not see this any more; load the page again", "away");
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const text = await answer.text();
    const focused = this.#element.contains(document.activeElement) && document.activeElement.id;
    this.#element.innerHTML = text;
    if (focused) document.getElementById(focused)?.focus();
    this.#say(this.#live ? "Live" : "Updated every few seconds");
  }

  #rest() {
    clearTimeout(this.#timer);
    const pause = this.#live ? POLL_WHILE_LIVE_MS : POLL_MS;
    this.#timer = setTimeout(() => this.look(), pause);
  }

  #say(sentence, state = this.#live ? "live" : "polling") {
    if (!this.#status || this.#status.textContent === sentence) return;
    this.#status.hidden = false;
    this.#status.dataset.state = state;
    this.#status.textContent = sentence;
  }
}

for (const element of document.querySelectorAll("[data-live]")) {
  const part = new LivePart(element, document.getElementById("pushgate-stream"));
  part.listen(element.dataset).catch(() => {});
}

for (const all of document.querySelectorAll("[data-all]")) {
  const boxes = document.getElementsByName(all.dataset.all);
  all.closest("[hidden]").hidden = false;
  all.addEventListener("change", () => boxes.forEach((box) => (box.checked = all.checked)));
}
