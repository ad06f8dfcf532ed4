// How values are written, and how elements are made. What is not known is "n/a", never "NaN".

const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { maximumFractionDigits: 1, notation: "compact" });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const NOT_KNOWN = "n/a";

/** A whole number, all of it. */
export const count = (value) => (known(value) ? counts.format(value) : NOT_KNOWN);

/** A number in few characters. */
export const short = (value) => {
  if (!known(value)) return NOT_KNOWN;
  if (value !== 0 && Math.abs(value) < 10) return value.toFixed(1);
  return Math.abs(value) < 100000 ? counts.format(value) : compact.format(value);
};

/** A rate, in records a second. */
export const rate = (value) => (known(value) ? `${short(value)}/s` : NOT_KNOWN);

/** A span, given in milliseconds: as the host writes it in sentences. */
export const span = (ms) => {
  if (!known(ms)) return NOT_KNOWN;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 7200000) return `${(ms / 60000).toFixed(1)} min`;
  if (ms < 172800000) return `${(ms / 3600000).toFixed(1)} h`;
  return `${(ms / 86400000).toFixed(1)} days`;
};

/** A size. */
export const bytes = (value) => {
  if (!known(value)) return NOT_KNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
};

export const percent = (share) => {
  if (!known(share)) return NOT_KNOWN;
  return share > 0 && share < 0.01 ? "< 1 %" : `${(share * 100).toFixed(0)} %`;
};

/** A number of things: "1 batch", "2 batches". */
export const things = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });
const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" });

export const zoneName = () => {
  const part = zone.formatToParts(new Date()).find((one) => one.type === "timeZoneName");
  return part ? part.value : "local time";
};

/** The time of the day, with milliseconds unless they are zero for all batches. */
export const time = (ms, withMs = false) => {
  if (!known(ms)) return NOT_KNOWN;
  const text = clock.format(ms);
  return withMs ? `${text}.${String(ms % 1000).padStart(3, "0")}` : text;
};

/** Day and time; only the time for today. */
export const moment = (ms) => {
  if (!known(ms)) return NOT_KNOWN;
  return day.format(ms) === day.format(Date.now()) ? time(ms) : `${day.format(ms)} ${time(ms)}`;
};

/** Day, time and zone. */
export const fullTime = (ms) => (known(ms) ? `${day.format(ms)} ${time(ms, true)} ${zoneName()}` : NOT_KNOWN);

/** An element. Texts become text nodes, so that no name can bring markup along. */
export const h = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
};

/** An element of SVG. */
export const s = (tag, attributes, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
};

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
};

/** A point in time. */
export const timeElement = (ms, text) =>
  known(ms) ? h("time", { datetime: new Date(ms).toISOString(), title: fullTime(ms) }, text || moment(ms)) : NOT_KNOWN;
