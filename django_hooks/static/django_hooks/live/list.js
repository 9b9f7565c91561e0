// <live-list>: a list that keeps itself up to date, for those who write no JavaScript.
//
//   <live-list id="comments" gateway="{% push_gateway %}" cursor="{{ cursor }}"
//       channels="thread:{{ thread.pk }}" types="comment.created comment.updated comment.deleted">
//     <template><li><b data-text="author"></b> <span data-text="text"></span></li></template>
//     <ol data-items>
//       {% for comment in comments %}
//       <li data-key="{% push_object comment %}"><b data-text="author">{{ comment.author }}</b> ...
//       {% endfor %}
//     </ol>
//   </live-list>
//
// Attributes
//   channels  types  gateway  cursor     as in connect(), words parted by spaces
//   inserts   types that add an item; without it, those that end in ".created"
//   removes   types that take it away; without it, those that end in ".deleted"
//             every other type fills the slots of the item that is there
//   bursts    types that stand for many events at once; the list is fetched anew, after a pause
//             drawn at random, for all of a busy channel's pages are told together
//   order     "append" (the usual) or "prepend": where a new item goes
//   most      how many items are kept; the oldest go first
//   refetch   address of a page with this list on it, of the page's own origin, for after a gap;
//             without it, the page's own address
//   pause-hidden  no-share  credentials  renew  receipts  as in connect()
//   state     set by the element: "live", "catching up" or "stale", for CSS
//
// An item is a child of the element marked `data-items` (of the list itself when there is none),
// known by `data-key`, the event's object. Slots: see slots.js.
// Events: `live-event` before an event is shown, its detail { type, data, id }; preventDefault()
// leaves it to the page. `live-state`, its detail { state }.

import { connect } from "./connection.js";
import { fill, hasSlots } from "./slots.js";

const BURST_PAUSE_MS = 2000;

/** The element; live.js names it. */
export class LiveList extends HTMLElement {
  #connection = null;
  #cursor = null;
  #burstTimer = 0;

  connectedCallback() {
    this.#connection = connect({
      gateway: this.getAttribute("gateway") ?? "",
      cursor: this.#cursor ?? this.getAttribute("cursor") ?? "",
      channels: this.#words("channels"),
      types: [...this.#words("types"), ...this.#words("bursts")],
      pauseHidden: this.hasAttribute("pause-hidden"),
      share: !this.hasAttribute("no-share"),
      credentials: this.hasAttribute("credentials"),
      renew: this.getAttribute("renew") ?? "",
      receipts: Number(this.getAttribute("receipts") ?? 0),
      onEvent: (item) => this.#show(item),
      onReset: () => this.#refetch(),
      onState: (state) => this.#showState(state),
    });
  }

  disconnectedCallback() {
    // Put elsewhere in the page, it goes on from where it was.
    this.#cursor = this.#connection?.cursor ?? null;
    this.#connection?.close();
    this.#connection = null;
    clearTimeout(this.#burstTimer);
    this.#burstTimer = 0;
  }

  get #items() {
    return itemsOf(this);
  }

  #words(name) {
    return this.getAttribute(name)?.split(/\s+/).filter(Boolean) ?? [];
  }

  #does(name, type, ending) {
    return this.hasAttribute(name) ? this.#words(name).includes(type) : type.endsWith(ending);
  }

  #show(item) {
    const event = new CustomEvent("live-event", { detail: item, bubbles: true, cancelable: true });
    if (!this.dispatchEvent(event)) return;
    const { type, data } = item;
    if (this.#words("bursts").includes(type)) {
      this.#readAnewSoon();
      return;
    }
    const shown = [...this.#items.children].find(({ dataset }) => dataset.key === data.object);
    if (this.#does("removes", type, ".deleted")) shown?.remove();
    else if (shown) this.#update(shown, data);
    else if (this.#does("inserts", type, ".created")) this.#insert(data);
  }

  #make(data) {
    const template = this.querySelector("template");
    const item = document.importNode(template.content, true).firstElementChild;
    item.dataset.key = data.object;
    fill(item, data);
    return item;
  }

  #update(shown, data) {
    if (hasSlots(shown)) fill(shown, data);
    else shown.replaceWith(this.#make(data));
  }

  #insert(data) {
    const items = this.#items;
    const isPrepended = this.getAttribute("order") === "prepend";
    const [first] = [...items.children].filter(isItem);
    if (isPrepended && first) first.before(this.#make(data));
    else items.append(this.#make(data));
    const most = Number(this.getAttribute("most")) || Infinity;
    const all = [...items.children].filter(isItem);
    if (all.length > most) (isPrepended ? all.at(-1) : first).remove();
  }

  #readAnewSoon() {
    this.#burstTimer ||= setTimeout(() => {
      this.#burstTimer = 0;
      this.#connection.readAnew();
    }, Math.random() * BURST_PAUSE_MS);
  }

  async #refetch() {
    const address = new URL(this.getAttribute("refetch") || location.href, location.href);
    if (address.origin !== location.origin) throw new Error(`refetch: ${address} is another site`);
    const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(`refetch: ${address} answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const ours = [...page.querySelectorAll(this.localName)].find((list) => this.#isTwin(list));
    if (!ours) throw new Error(`refetch: ${address} has no such list`);
    const items = [...itemsOf(ours).children].filter(isItem);
    for (const item of [...this.#items.children]) if (isItem(item)) item.remove();
    this.#items.append(...items.map((item) => document.importNode(item, true)));
  }

  #isTwin(list) {
    if (this.id) return list.id === this.id;
    return list.getAttribute("channels") === this.getAttribute("channels");
  }

  #showState(state) {
    this.setAttribute("state", state);
    this.dispatchEvent(new CustomEvent("live-state", { detail: { state }, bubbles: true }));
  }
}

function itemsOf(list) {
  return list.querySelector("[data-items]") ?? list;
}

function isItem(element) {
  return element.dataset.key !== undefined;
}
