// Puts an event's data into a template's slots, as text and never as HTML.
//
//   data-text="author.name"            the element's text
//   data-attr="href=link title=name"   attributes; data-attr="hidden=..." and other booleans too
//   data-show="edited_at"              shown only while the data has something there
//
// A name the data does not have at all leaves its slot as it is; null empties it.

// What is code, markup or another page is never filled, whatever a template says.
const FORBIDDEN = /^(on.*|style|srcdoc|srcset|is|ping|form.*|data-(text|attr|show|key))$/i;
const ADDRESS = /^(href|src|action|cite|poster|data|background|xlink:href)$/i;
const ADDRESS_SCHEMES = ["http:", "https:", "mailto:", "tel:"];
const UNSAFE_ELEMENTS = "script, style, iframe, object, embed, base, link, meta";
const SLOTS = "[data-text], [data-attr], [data-show]";

/** Whether the element has any slot. */
export function hasSlots(element) {
  return element.matches(SLOTS) || element.querySelector(SLOTS) !== null;
}

/** Fills all slots of the element and within it. */
export function fill(element, data) {
  const slots = [...element.querySelectorAll(SLOTS)];
  if (element.matches(SLOTS)) slots.unshift(element);
  for (const slot of slots) {
    if (slot.matches(UNSAFE_ELEMENTS)) continue;
    const { text, attr, show } = slot.dataset;
    if (show !== undefined) when(data, show, (value) => (slot.hidden = isEmpty(value)));
    if (text !== undefined) when(data, text, (value) => (slot.textContent = value ?? ""));
    for (const pair of attr?.split(/\s+/).filter(Boolean) ?? []) {
      const [name, path] = pair.split("=", 2);
      when(data, path ?? name, (value) => setAttribute(slot, name, value));
    }
  }
}

function when(data, path, act) {
  let value = data;
  for (const name of path.split(".")) {
    const isThere = value !== null && typeof value === "object" && Object.hasOwn(value, name);
    if (!isThere) return;
    value = value[name];
  }
  act(value);
}

function isEmpty(value) {
  return value === null || value === false || value === "" || value === 0;
}

function setAttribute(slot, name, value) {
  if (FORBIDDEN.test(name)) return;
  if (value === null || value === false || (ADDRESS.test(name) && !isSafeAddress(value))) {
    slot.removeAttribute(name);
  } else {
    slot.setAttribute(name, value === true ? "" : value);
  }
}

function isSafeAddress(value) {
  try {
    return ADDRESS_SCHEMES.includes(new URL(value, document.baseURI).protocol);
  } catch {
    return false;
  }
}
