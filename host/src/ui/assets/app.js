// Holds the page together: asks the host, hears what changes, and shows the page that the address names.

import { h, count, things, time, moment, span, timeElement, zoneName } from "./format.js";
import * as pages from "./pages.js";

const API = "api/millstream/v1/";
const NAV = [["", "Overview"], ["batches", "Batches"], ["graph", "Graph"], ["sources", "Sources"], ["state", "State"], ["upgrade", "Upgrade"], ["log", "Log"], ["settings", "Settings"]];
const RETRY_MS = [500, 1000, 2000, 4000];

const main = document.getElementById("main");
const byId = (id) => document.getElementById(id);

let job = null;
let history = null;
let spanMs = 600000;
let attempts = 0;
let drawn = 0;

/** The token, for as long as the tab is open. A link may bring it along after the `#`, which no server sees. */
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  location.hash = "#/";
}
const headers = () => {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
};

const ask = async (path, options = {}) => {
  const answer = await fetch(API + path, { ...options, headers: headers(), cache: "no-store" });
  if (answer.status === 401) login();
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || `the host answers ${answer.status}`);
  return answer;
};
const askJson = async (path) => (await ask(path)).json();

const login = () => {
  const dialog = byId("login");
  if (dialog.open) return;
  byId("login-problem").textContent = sessionStorage.getItem("token") ? "The host does not know this token." : "";
  dialog.showModal();
};
byId("login").addEventListener("close", () => {
  sessionStorage.setItem("token", byId("token").value.trim());
  byId("token").value = "";
  attempts = 0;
  listen();
});

/** The page that the address names, and its wishes. */
const place = () => {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/"), query: Object.fromEntries(new URLSearchParams(query)) };
};
const go = (name) => (query) => {
  const wishes = Object.entries(query).filter(([, value]) => value !== "" && value !== 0 && value !== undefined);
  location.hash = `#/${name}${wishes.length > 0 ? `?${new URLSearchParams(wishes)}` : ""}`;
};

const loadHistory = async () => {
  history = await askJson(`history?span_ms=${spanMs}`);
};
const chooseSpan = async (ms) => {
  spanMs = ms;
  await loadHistory();
  draw();
};

/** Adds the newest slots to the history, whose slots may be longer. */
const addSlots = () => {
  if (!history || history.slot_ms !== 1000) return;
  const known = new Map(history.slots.map((slot) => [slot.start_ms, slot]));
  for (const slot of job.slots) known.set(slot.start_ms, slot);
  history.slots = [...known.values()].sort((one, other) => one.start_ms - other.start_ms).slice(-700);
};

/** The elements of the page that the address names. */
const content = async ({ parts: [name, id], query }) => {
  switch (name) {
    case "": return [pages.heading("Overview"), pages.health(job), pages.figures(job), pages.timelines(job, history, spanMs, chooseSpan), ...pages.batchTables(job)];
    case "batches": return [pages.heading("Batches"), pages.batches(job, await askJson(`batches?${new URLSearchParams(query)}`), query, go("batches"))];
    case "batch": return pages.batch(job, await askJson(`batches/${encodeURIComponent(id)}`));
    case "graph": return pages.graph(job, await askJson("graph"));
    case "sources": return pages.sources(job);
    case "state": return pages.state(job);
    case "upgrade": return pages.upgrade(job, await askJson("upgrade"), (await askJson("settings")).upgrades);
    case "log": return pages.log((await askJson("log")).lines, query, go("log"));
    case "settings": return pages.settings(job, await askJson("settings"));
    default: return [h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "To the overview"))];
  }
};

/** Where the keyboard is, so that a new drawing does not lose it. */
const focusPath = () => {
  const path = [];
  for (let element = document.activeElement; element && element !== main; element = element.parentElement) {
    if (!element.parentElement) return null;
    path.unshift([...element.parentElement.children].indexOf(element));
  }
  return main.contains(document.activeElement) && document.activeElement !== main ? path : null;
};
const focusAt = (path) => {
  let element = main;
  for (const at of path) element = element?.children[at];
  element?.focus({ preventScroll: true });
};

const draw = async () => {
  if (!job) return;
  const number = ++drawn;
  const where = place();
  let elements;
  try {
    elements = await content(where);
  } catch (error) {
    elements = [h("section", { class: "card" }, h("p", { class: "problem", role: "alert" }, String(error.message)))];
  }
  // A later drawing has begun meanwhile.
  if (number !== drawn) return;
  const path = focusPath();
  const scrolled = [...main.querySelectorAll(".scroll")].map((region) => region.scrollLeft);
  main.replaceChildren(...elements);
  [...main.querySelectorAll(".scroll")].forEach((region, at) => { region.scrollLeft = scrolled[at] || 0; });
  if (path) focusAt(path);
  frame(where);
};

/** What is around the page. */
const frame = ({ parts: [name] }) => {
  const title = (NAV.find(([path]) => path === name) || [, name === "batch" ? "Batch" : ""])[1];
  document.title = `${job.status.job}: ${title}`;
  byId("job").textContent = job.status.job;
  const [text, kind] = pages.statePill(job.status.state);
  const state = byId("state");
  state.hidden = false;
  state.textContent = text;
  state.className = `pill ${kind}`;
  const current = name === "batch" ? "batches" : name;
  // The links are made again only if they change, so that the keyboard stays where it is.
  const links = `${current} ${job.warnings}`;
  if (byId("nav").dataset.links !== links) {
    byId("nav").dataset.links = links;
    byId("nav").replaceChildren(...NAV.map(([path, label]) => h("li", {}, h("a", { href: `#/${path}`, "aria-current": path === current ? "page" : null }, label, path === "log" && job.warnings > 0 ? ` (${count(job.warnings)})` : ""))));
  }
  byId("stop").hidden = !job.can_stop || ["stopping", "stopped"].includes(job.status.state);
  const since = job.started_ms || job.status.since_ms;
  byId("footer").replaceChildren(
    `Batches of ${span(job.status.batch_interval_ms)} for ${span(Math.max(0, (job.ended_ms || job.now_ms) - since))} since `, timeElement(since),
    ` (${things(job.status.batches_completed, "completed batch", "completed batches")}, ${things(job.records_processed, "record", "records")}). Times are in ${zoneName()}. Millstream ${job.host_version}.`,
    job.events_missed > 0 ? ` This page has missed ${things(job.events_missed, "event", "events")}.` : "");
};

const connection = (text) => {
  const told = byId("connection");
  told.hidden = text === "";
  if (told.textContent !== text) told.textContent = text;
};

/** Pages that only show what the job says are drawn again when the job changes; the others at their own pace. */
const isLive = ({ parts: [name], query }) => ["", "sources", "state", "graph", "upgrade"].includes(name) || (name === "batches" && !query.offset);
const isBusy = () => ["SELECT", "INPUT"].includes(document.activeElement?.tagName) || main.querySelector(".tip:not([hidden])") !== null || String(getSelection()) !== "";

const heard = async (text) => {
  job = JSON.parse(text);
  if (!history) await loadHistory();
  addSlots();
  connection(job.saved_ms == null ? "" : `as of ${moment(job.saved_ms)}`);
  const where = place();
  if (main.childElementCount === 0 || main.querySelector("noscript") || (isLive(where) && !isBusy())) await draw();
  else frame(where);
};

/** Hears what the job does, until the connection ends; then tries again. */
const listen = async () => {
  try {
    const answer = await ask("events");
    attempts = 0;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const events = (text + value).split("\n\n");
      text = events.pop();
      const told = events.filter((event) => event.startsWith("event: job\ndata: "));
      if (told.length > 0) await heard(told[told.length - 1].slice("event: job\ndata: ".length));
    }
  } catch {
    // The host is away, or wants a token.
  }
  if (byId("login").open) return;
  connection(job?.status.state === "stopped" ? "the host has ended" : job ? `no connection since ${time(Date.now())}` : "no connection");
  history = null;
  setTimeout(listen, RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
  attempts += 1;
};

const stop = async (path) => {
  byId("stop-problem").textContent = "";
  try {
    await ask(path, { method: "POST" });
    byId("stopping").close();
  } catch (error) {
    byId("stop-problem").textContent = error.message;
  }
};
byId("stop").addEventListener("click", () => byId("stopping").showModal());
byId("stop-soft").addEventListener("click", () => stop("stop"));
byId("stop-hard").addEventListener("click", () => stop("stop-now"));

window.addEventListener("hashchange", async () => {
  await draw();
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
setInterval(() => {
  const { parts: [name] } = place();
  if (["log"].includes(name) && !isBusy()) draw();
}, 5000);

listen();
