// A thread's page: comments come, change and go by the stream; the form posts without a reload.
// Without this script the same page works by ordinary forms.

import { connect } from "../django_hooks/live.js";
import { commentText, hue, initial, plainText } from "./comment_text.js";

const DELETE_AGAIN_MS = 4000;
const FRESH_MS = 2800;

const thread = document.getElementById("thread");
const list = document.getElementById("comments");
const form = document.getElementById("comment-form");
const sign = document.getElementById("sign");
const moreBelow = document.getElementById("more-below");
const unseen = new Set();
let count = Number(document.getElementById("count").textContent.replace(/\D/g, ""));

// The comments

function find(id) {
  return document.getElementById(`comment-${id}`);
}

/** Puts a comment where its id belongs, or brings the one that is there up to date. */
function upsert(comment, { fresh = true } = {}) {
  let item = find(comment.id);
  const isNew = !item;
  if (isNew) {
    if (isOnEarlierPage(comment.id)) return;
    item = make(comment);
    const next = [...list.children].find((other) => Number(other.dataset.id) > comment.id);
    list.insertBefore(item, next ?? null);
    setCount(count + 1);
  }
  const shown = item.querySelector(".text");
  const text = commentText(comment.text);
  const changed = plainText(text) !== plainText(shown);
  if (changed) shown.replaceChildren(text);
  item.querySelector(".edited").hidden = !comment.edited_at;
  if (fresh && (isNew || changed)) highlight(item);
  if (fresh && isNew) {
    say(`New comment by ${comment.author}`);
    if (item.getBoundingClientRect().top > innerHeight) showBelow(item);
  }
}

function remove(id) {
  const item = find(id);
  if (!item || item.classList.contains("going")) return;
  setCount(count - 1);
  unseen.delete(item);
  item.removeAttribute("id");
  item.classList.add("going");
  setTimeout(() => item.remove(), 200);
}

function make(comment) {
  const template = document.getElementById("comment-template");
  const item = template.content.firstElementChild.cloneNode(true);
  item.id = `comment-${comment.id}`;
  item.dataset.id = comment.id;
  const face = item.querySelector(".face");
  face.textContent = initial(comment.author);
  face.style.setProperty("--hue", hue(comment.author));
  item.querySelector(".author").textContent = comment.author;
  item.querySelector(".when").href = `#comment-${comment.id}`;
  const edit = item.querySelector(".edit");
  edit.setAttribute("href", edit.getAttribute("href").replace("/0/", `/${comment.id}/`));
  item.querySelector("time").dateTime = comment.created_at;
  prepare(item);
  return item;
}

/** Makes a comment's tools work in place. */
function prepare(item) {
  item.querySelector(".delete").hidden = false;
  item.querySelector("time").title = new Date(item.querySelector("time").dateTime).toLocaleString();
  showAge(item.querySelector("time"));
}

function isOnEarlierPage(id) {
  const first = list.firstElementChild;
  return Boolean(first && document.querySelector(".earlier") && id < Number(first.dataset.id));
}

function setCount(value) {
  count = value;
  document.getElementById("count").textContent = count.toLocaleString("en-GB");
  document.getElementById("count-word").textContent = count === 1 ? "comment" : "comments";
  document.getElementById("empty").hidden = count > 0;
}

function highlight(item) {
  item.classList.remove("fresh");
  void item.offsetWidth; // Begins the animation anew.
  item.classList.add("fresh");
  clearTimeout(item.freshTimer);
  item.freshTimer = setTimeout(() => item.classList.remove("fresh"), FRESH_MS);
}

function say(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

// What came in below the fold

function showBelow(item) {
  unseen.add(item);
  watcher.observe(item);
  labelBelow();
}

function labelBelow() {
  const many = unseen.size;
  moreBelow.hidden = !many;
  moreBelow.textContent = many === 1 ? "1 new comment" : `${many} new comments`;
}

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    if (unseen.delete(target)) highlight(target);
  }
  labelBelow();
});

moreBelow?.addEventListener("click", () => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  [...unseen][0]?.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
});

// Times

const ages = new Intl.RelativeTimeFormat("en-GB", { numeric: "always" });
const UNITS = [["year", 31557600], ["month", 2629800], ["week", 604800], ["day", 86400],
  ["hour", 3600], ["minute", 60]];

function showAge(time) {
  const seconds = (Date.now() - new Date(time.dateTime)) / 1000;
  const [unit, length] = UNITS.find(([, unitSeconds]) => seconds >= unitSeconds) ?? [];
  time.textContent = unit ? ages.format(-Math.floor(seconds / length), unit) : "just now";
}

setInterval(() => document.querySelectorAll(".comment time").forEach(showAge), 30000);

// Saying, editing, deleting

/** Calls the API; returns its JSON, or throws an error whose message is for people. */
async function call(method, url, body) {
  let answer;
  try {
    answer = await fetch(url, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error("The site could not be reached. Your text is still here; try again.");
  }
  const found = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(found.error ?? `The site answered ${answer.status}. Try again.`);
    error.status = answer.status;
    throw error;
  }
  return found;
}

function showError(within, error) {
  const line = within.querySelector(".form-error");
  line.textContent = error?.message ?? "";
  line.hidden = !error;
}

async function submit(within, send) {
  const button = within.querySelector("button");
  button.disabled = true;
  showError(within, null);
  try {
    await send();
  } catch (error) {
    showError(within, error);
  } finally {
    button.disabled = false;
  }
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  submit(form, async () => {
    const author = form.elements.author.value.trim();
    const text = form.elements.text.value.replace(/\r\n/g, "\n").trim();
    const { id } = await call("POST", thread.dataset.commentsUrl, { author, text });
    remember(author);
    form.elements.text.value = "";
    // One's own comment does not wait for the stream, which brings it as well.
    upsert({ id, author, text, created_at: new Date().toISOString() }, { fresh: false });
    find(id)?.scrollIntoView({ block: "nearest" });
  });
});

form?.elements.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

list.addEventListener("click", (event) => {
  const item = event.target.closest(".comment");
  if (event.target.closest(".edit")) {
    event.preventDefault();
    openEditor(item);
  } else if (event.target.closest(".delete")) {
    askThenDelete(item, event.target);
  }
});

function openEditor(item) {
  if (item.querySelector(".editor")) return;
  const editor = document.getElementById("editor-template").content.firstElementChild.cloneNode(true);
  const text = item.querySelector(".text");
  const close = () => {
    editor.remove();
    text.hidden = false;
    item.querySelector(".edit").focus();
  };
  editor.elements.text.value = plainText(text);
  text.hidden = true;
  text.after(editor);
  editor.elements.text.focus();
  editor.querySelector(".cancel").addEventListener("click", close);
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) editor.requestSubmit();
  });
  editor.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(editor, async () => {
      const changed = editor.elements.text.value.trim();
      const edited_at = new Date().toISOString();
      await call("PATCH", apiUrl(item), { text: changed });
      close();
      upsert({ id: Number(item.dataset.id), text: changed, edited_at }, { fresh: false });
    });
  });
}

/** The first press asks, the second deletes. */
async function askThenDelete(item, button) {
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    button.textContent = "Really delete?";
    setTimeout(() => {
      button.classList.remove("sure");
      button.textContent = "Delete";
    }, DELETE_AGAIN_MS);
    return;
  }
  try {
    await call("DELETE", apiUrl(item));
    remove(item.dataset.id);
  } catch (error) {
    if (error.status === 404) remove(item.dataset.id);
    else say(error.message);
  }
}

function apiUrl(item) {
  return `/api/comments/${item.dataset.id}/`;
}

function remember(author) {
  try {
    localStorage.setItem("author", author);
  } catch {
    // Private windows may refuse; the name is typed again then.
  }
}

// The stream

/** Reads the thread anew, after a gap the stream could not fill. */
async function refetch() {
  const found = await call("GET", thread.dataset.commentsUrl);
  const kept = new Set(found.comments.map((comment) => comment.id));
  for (const item of [...list.children]) {
    if (!kept.has(Number(item.dataset.id))) remove(item.dataset.id);
  }
  for (const comment of found.comments) upsert(comment);
  setCount(found.count);
}

function showState(state) {
  sign.dataset.state = state;
  sign.querySelector(".sign-word").textContent = state;
  sign.hidden = false;
}

for (const item of list.children) prepare(item);

if (form && !form.elements.author.value) {
  try {
    form.elements.author.value = localStorage.getItem("author") ?? "";
  } catch {
    // See remember().
  }
}

if (thread.dataset.channel) {
  connect({
    gateway: thread.dataset.gateway,
    channels: [thread.dataset.channel],
    cursor: thread.dataset.cursor,
    types: ["comment.created", "comment.updated", "comment.deleted"],
    receipts: Number(thread.dataset.receipts),
    onEvent: ({ type, data }) => {
      if (type === "comment.deleted") remove(data.id);
      else upsert(data);
    },
    onReset: refetch,
    onState: showState,
  });
}
