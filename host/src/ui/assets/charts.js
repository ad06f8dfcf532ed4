// Timelines, histograms and the graph of a job, drawn as SVG.

import { h, s, short, span, time, moment, rate, percent } from "./format.js";

const HEIGHT = 120;
const LEFT = 52;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;

/** The width of a timeline, so that its text has the same size on a small screen. */
const width = () => (window.innerWidth < 620 ? Math.max(280, window.innerWidth - 56) : 720);

/** A round number that is not below the largest value. */
const ceiling = (value) => {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
};

/**
 * A timeline. `points` are {time, value, max, failed}; `from` and `to` bound the time. `limit` is a value with a line of
 * its own, and `write` writes a value.
 */
export const timeline = ({ label, points, from, to, gap, limit, limitName, write }) => {
  const WIDTH = width();
  const shownMax = points.reduce((most, point) => Math.max(most, point.max ?? point.value), 0);
  // The line of the limit is shown if it does not flatten everything else.
  const isLimitShown = limit !== undefined && limit <= shownMax * 12;
  const top = ceiling(Math.max(shownMax, isLimitShown ? limit * 1.05 : 0));
  const x = (at) => LEFT + ((at - from) / Math.max(1, to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const runs = [];
  for (const point of points) {
    const last = runs[runs.length - 1];
    if (last && point.time - last[last.length - 1].time <= gap) last.push(point);
    else runs.push([point]);
  }
  const at = (point, value) => `${x(point.time).toFixed(1)},${y(value).toFixed(1)}`;
  const shapes = runs.flatMap((run) => {
    if (run.length === 1) return [s("circle", { class: "dot", cx: x(run[0].time), cy: y(run[0].value), r: 2 })];
    const upper = run.map((point) => at(point, point.max ?? point.value));
    const first = x(run[0].time).toFixed(1);
    const last = x(run[run.length - 1].time).toFixed(1);
    return [
      s("path", { class: "area", d: `M${first},${y(0)}L${upper.join("L")}L${last},${y(0)}Z` }),
      s("path", { class: "trace", d: `M${run.map((point) => at(point, point.value)).join("L")}` }),
    ];
  });
  const ticks = [0, top / 2, top].map((value) => [
    s("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, write(value)),
  ]);
  const times = [0, 0.5, 1].map((share) => {
    const moment = from + share * (to - from);
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    return s("text", { x: x(moment), y: HEIGHT - 4, "text-anchor": anchor }, axisTime(moment, to - from));
  });
  const failed = points.filter((point) => point.failed > 0).map((point) => {
    const middle = x(point.time);
    const base = y(0);
    return s("path", { class: "failed", d: `M${middle - 4},${base}L${middle + 4},${base}L${middle},${base - 8}Z` });
  });
  const line = isLimitShown
    ? [
        s("line", { class: "limit", x1: LEFT, x2: WIDTH - RIGHT, y1: y(limit), y2: y(limit) }),
        s("text", { class: "limit-label", x: WIDTH - RIGHT, y: y(limit) - 4, "text-anchor": "end" }, `${limitName} ${write(limit)}`),
      ]
    : [];
  const cursor = s("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    ticks, shapes, line, failed, times, cursor,
  );
  const figure = h("figure", {}, drawing);
  if (points.length > 0) explore({ figure, drawing, cursor, points, x, write, width: WIDTH });
  return figure;
};

const axisTime = (ms, length) => (length > 36 * 3600000 ? moment(ms).slice(0, 16) : time(ms).slice(0, length > 3600000 ? 5 : 8));

/** Shows the values under the pointer. */
const explore = ({ figure, drawing, cursor, points, x, write, width }) => {
  const tip = h("div", { class: "tip", hidden: true });
  figure.append(tip);
  const hide = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
  drawing.addEventListener("pointerleave", hide);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    const distance = (point) => Math.abs(x(point.time) - at);
    const near = points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
    const middle = x(near.time);
    cursor.setAttribute("x1", middle);
    cursor.setAttribute("x2", middle);
    cursor.setAttribute("visibility", "visible");
    const lines = [`${near.max === undefined ? "" : "average "}${write(near.value)}`];
    if (near.max !== undefined) lines.push(`longest ${write(near.max)}`);
    if (near.failed > 0) lines.push(`${near.failed} failed`);
    tip.replaceChildren(h("b", {}, moment(near.time)), lines.join(", "));
    tip.hidden = false;
    const left = (middle / width) * box.width;
    tip.style.left = `${Math.min(Math.max(0, left + 10), Math.max(0, box.width - tip.offsetWidth))}px`;
    tip.style.top = "0px";
  });
};

/** Columns: {from, to, count}. `write` writes a bound. */
export const histogram = ({ label, columns, write }) => {
  const width = 260;
  const height = 104;
  const bottom = 18;
  const first = columns.findIndex((column) => column.count > 0);
  if (first < 0) return h("p", { class: "empty" }, "no batches");
  const last = columns.findLastIndex((column) => column.count > 0);
  const shown = columns.slice(Math.max(0, first - 1), last + 2);
  const most = Math.max(...shown.map((column) => column.count));
  const step = Math.min(44, width / shown.length);
  const bars = shown.map((column, at) => {
    const size = column.count === 0 ? 0 : Math.max(2, (column.count / most) * (height - bottom - 14));
    const title = s("title", {}, `${write(column.from)} to ${column.to === undefined ? "more" : write(column.to)}: ${short(column.count)}`);
    return [
      s("rect", { class: "column", x: at * step + 1, y: height - bottom - size, width: Math.max(2, step - 2), height: size, rx: 1.5 }, title),
      column.count === most && s("text", { x: at * step + step / 2, y: height - bottom - size - 3, "text-anchor": "middle" }, short(column.count)),
    ];
  });
  const names = shown.map((column, at) => {
    const every = Math.ceil(46 / step);
    return at % every === 0 && s("text", { x: at * step, y: height - 4, "text-anchor": "start" }, write(column.from));
  });
  return h(
    "figure",
    { class: "histogram" },
    s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, bars.flat(), names,
      s("line", { class: "axis", x1: 0, x2: shown.length * step, y1: height - bottom, y2: height - bottom })),
  );
};

/** Columns of equal width for some values. */
export const equalColumns = (values, number = 10) => {
  const top = ceiling(Math.max(0, ...values));
  const columns = Array.from({ length: number }, (_, at) => ({ from: (at * top) / number, to: ((at + 1) * top) / number, count: 0 }));
  for (const value of values) columns[Math.min(number - 1, Math.floor((value / top) * number))].count += 1;
  return columns;
};

/** The graph: nodes {id, name, kind, reads, note, share} in columns, from the sources to the outputs. */
export const graph = ({ nodes, rates }) => {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const depth = new Map();
  // Nodes read only nodes that come before them.
  for (const node of nodes) depth.set(node.id, 1 + Math.max(-1, ...node.reads.map((id) => depth.get(id) ?? -1)));
  const rows = new Map();
  const row = new Map();
  for (const node of nodes) {
    const parents = node.reads.filter((id) => byId.has(id)).map((id) => row.get(id) ?? 0);
    const wanted = parents.length > 0 ? parents.reduce((sum, one) => sum + one, 0) / parents.length : 0;
    const column = depth.get(node.id);
    const taken = rows.get(column) ?? new Set();
    let at = Math.round(wanted);
    while (taken.has(at)) at += 1;
    taken.add(at);
    rows.set(column, taken);
    row.set(node.id, at);
  }
  const [boxWidth, boxHeight, stepX, stepY] = [168, 62, 236, 86];
  const x = (node) => 4 + depth.get(node.id) * stepX;
  const y = (node) => 6 + row.get(node.id) * stepY;
  const width = 8 + Math.max(0, ...nodes.map((node) => depth.get(node.id))) * stepX + boxWidth;
  const height = 12 + Math.max(0, ...nodes.map((node) => row.get(node.id))) * stepY + boxHeight;
  const edges = nodes.flatMap((node) => node.reads.filter((id) => byId.has(id)).map((id) => {
    const from = byId.get(id);
    const [x1, y1, x2, y2] = [x(from) + boxWidth, y(from) + boxHeight / 2, x(node), y(node) + boxHeight / 2];
    const middle = (x1 + x2) / 2;
    const value = rates(id, node.id);
    return [
      s("path", { class: "edge", d: `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}` }),
      value !== undefined && s("text", { class: "rate", x: middle, y: (y1 + y2) / 2 - 5, "text-anchor": "middle" }, rate(value)),
    ];
  }));
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const boxes = nodes.map((node) => s(
    "g",
    { class: node.share >= 0.3 ? "node hot" : "node", transform: `translate(${x(node)},${y(node)})` },
    s("title", {}, `${node.name ?? node.kind}: ${node.note}`),
    s("rect", { class: "box", width: boxWidth, height: boxHeight, rx: 7 }),
    s("text", { class: "name", x: 10, y: 19 }, cut(node.name ?? node.kind, 20)),
    s("text", { x: 10, y: 35 }, cut(node.note, 26)),
    node.share !== undefined && [
      s("rect", { class: "groove", x: 10, y: 45, width: boxWidth - 62, height: 6, rx: 3 }),
      s("rect", { class: "heat", x: 10, y: 45, width: Math.max(2, (boxWidth - 62) * node.share), height: 6, rx: 3 }),
      s("text", { x: boxWidth - 10, y: 52, "text-anchor": "end" }, percent(node.share)),
    ],
  ));
  const names = nodes.map((node) => node.name ?? node.kind).join(", ");
  return s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `The graph: ${names}` }, edges.flat(), boxes);
};

export { span };
