// The pages, as functions of what the host says. Each returns elements.

import { h, span, count, short, rate, bytes, percent, things, time, moment, timeElement, NOT_KNOWN } from "./format.js";
import { timeline, histogram, equalColumns, graph as drawGraph } from "./charts.js";

const STATES = {
  starting: ["starting", ""], recovering: ["recovering", "warn"], running: ["running", "good"],
  stopping: ["stopping", "warn"], stopped: ["ended", ""],
};
export const statePill = (state) => STATES[state] || [state, ""];

const GRADES = { good: "✓", neutral: "•", poor: "▲", bad: "✕" };
const GRADE_NAMES = { good: "Good", neutral: "Nothing to judge", poor: "Look at it", bad: "Failing" };
const BATCH_STATES = { queued: ["waits", ""], processing: ["runs", "warn"], completed: ["done", "good"], failed: ["failed", "bad"] };

const pill = (text, kind) => h("span", { class: `pill ${kind}` }, text);
const batchPill = (status) => pill(...(BATCH_STATES[status] || [status, ""]));

/** A table. Columns are [heading, cell function, class]. */
export const table = (label, columns, rows, empty) => {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const head = columns.map(([name, , kind]) => h("th", { scope: "col", class: kind }, name));
  const line = (row) => h("tr", {}, columns.map(([, cell, kind]) => h("td", { class: kind }, cell(row))));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map(line))));
};

const meter = (share) => {
  const bar = h("i", {});
  bar.style.width = `${Math.min(100, share * 100)}%`;
  return [h("span", { class: "meter", "aria-hidden": "true" }, bar), percent(share)];
};

const facts = (...pairs) => h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));

/** A text in which names stand between backticks. */
const named = (text) => text.split("`").map((part, at) => (at % 2 === 1 ? h("code", {}, part) : part));

/** A heading for those who hear the page. */
export const heading = (text) => h("h1", { class: "unseen" }, text);

/** The sentence of health. */
export const health = (job) => {
  const pieces = job.health.sentence.map((piece) => (piece.time_ms === undefined ? named(piece.text) : timeElement(piece.time_ms, moment(piece.time_ms).slice(0, -3))));
  return h("section", { class: `card health ${job.health.grade}`, "aria-label": "Health", "data-item": "health" },
    h("span", { class: "mark", "aria-hidden": "true" }, GRADES[job.health.grade]),
    h("p", {}, h("span", { class: "pill " + job.health.grade }, GRADE_NAMES[job.health.grade]), " ", h("strong", {}, job.status.job), " ", pieces));
};

const average = (values) => (values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length);
const mean = (batches, of) => average(batches.map(of).filter((value) => value !== null && value !== undefined));

/** The figures at the top. */
export const figures = (job) => {
  const done = job.done;
  const interval = job.status.batch_interval_ms;
  const processing = mean(done, (batch) => batch.processing_time_ms);
  const input = interval && done.length > 0 ? (mean(done, (batch) => batch.records) * 1000) / interval : undefined;
  const figure = (item, name, value, note) => h("div", { "data-item": item }, h("dt", {}, name), h("dd", {}, value, h("small", {}, note)));
  const last = done[0];
  return h("dl", { class: "figures" },
    figure("batches", "Batches done", count(job.status.batches_completed), `${count(job.batches_failed)} failed`),
    figure("records", "Records processed", count(job.records_processed), `${count(job.status.records_lost)} lost`),
    figure("rate", "Input rate", rate(input), `average of the last ${things(done.length, "batch", "batches")}`),
    figure("processing", "Processing time", span(processing), interval ? `${percent(processing / interval)} of ${span(interval)}` : ""),
    figure("scheduling", "Scheduling delay", span(last ? last.scheduling_delay_ms : undefined), "of the last batch"),
    figure("pending", "Waiting or running", count(job.status.pending), "batches"));
};

const SPANS = [["10 minutes", 600000], ["6 hours", 21600000], ["7 days", 604800000]];

/** Timelines and histograms. */
export const timelines = (job, history, spanMs, choose) => {
  const choice = h("div", { class: "choice", role: "group", "aria-label": "Span of time" },
    SPANS.map(([name, ms]) => h("button", { type: "button", "aria-pressed": String(ms === spanMs), click: () => choose(ms) }, name)));
  const head = h("div", { class: "head" }, h("h2", {}, "Timelines and histograms"), choice,
    h("span", { class: "note" }, "line: average; area: longest; red triangle: an output failed"));
  if (!history) return h("section", { class: "card" }, head, h("p", { class: "empty" }, "loading"));
  const to = Math.max(job.now_ms, ...history.slots.slice(-1).map((slot) => slot.start_ms));
  const from = to - spanMs;
  const slots = history.slots.filter((slot) => slot.start_ms >= from);
  const interval = job.status.batch_interval_ms || 1000;
  const gap = 3 * Math.max(history.slot_ms, interval);
  const seconds = (slot) => (slot.batches * interval) / 1000;
  const records = (slot) => Object.values(slot.records).reduce((sum, one) => sum + one, 0);
  const inputPoints = slots.map((slot) => ({ time: slot.start_ms, value: records(slot) / seconds(slot), failed: 0 }));
  const inputAverage = slots.length ? slots.reduce((sum, slot) => sum + records(slot), 0) / slots.reduce((sum, slot) => sum + seconds(slot), 0) : undefined;
  const name = SPANS.find(([, ms]) => ms === spanMs)[0];
  const receivers = job.status.receivers;
  const rows = [
    measure("Input rate", rate(inputAverage), receivers.length > 0 ? `${count(receivers.filter((one) => one.active).length)} of ${things(receivers.length, "receiver", "receivers")} active` : "average",
      timeline({ label: `Input rate, last ${name}: average ${rate(inputAverage)}`, points: inputPoints, from, to, gap, write: rate }),
      histogram({ label: "How many spans of time had which input rate", columns: equalColumns(inputPoints.map((point) => point.value)), write: short })),
  ];
  const kinds = [["Scheduling delay", "scheduling"], ["Processing time", "processing"], ["Total delay", "total"]];
  for (const [title, kind] of kinds) {
    const batches = slots.reduce((sum, slot) => sum + slot.batches, 0);
    const all = slots.reduce((sum, slot) => sum + slot[kind].average_ms * slot.batches, 0) / batches;
    const most = Math.max(0, ...slots.map((slot) => slot[kind].max_ms));
    const points = slots.map((slot) => ({ time: slot.start_ms, value: slot[kind].average_ms, max: slot[kind].max_ms, failed: kind === "processing" ? slot.batches_failed : 0 }));
    const counts = slots.reduce((sum, slot) => slot[kind].counts.map((one, at) => one + (sum[at] || 0)), []);
    const columns = counts.map((number, at) => ({ from: at === 0 ? 0 : history.bounds_ms[at - 1], to: history.bounds_ms[at], count: number }));
    const note = batches > 0 ? `longest ${span(most)}` : "no batches";
    rows.push(measure(title, span(batches > 0 ? all : undefined), note,
      timeline({
        label: `${title}, last ${name}: average ${span(all)}, longest ${span(most)}`, points, from, to, gap, write: span,
        limit: kind === "processing" ? interval : undefined, limitName: "batch interval",
      }),
      histogram({ label: `${title}: how many batches took how long`, columns, write: span })));
  }
  return h("section", { class: "card", "aria-label": "Timelines and histograms" }, head, rows);
};

const measure = (title, now, note, line, columns) =>
  h("div", { class: "measure", "data-item": title }, h("div", {}, h("h3", {}, title), h("p", { class: "now" }, now), h("p", { class: "dim" }, note)), line, columns);

export const batchLink = (ms, interval) => h("a", { href: `#/batch/${ms}` }, timeElement(ms, moment(ms) + (interval % 1000 === 0 ? "" : `.${String(ms % 1000).padStart(3, "0")}`)));

const batchColumns = (interval, withStatus = true) => [
  ["Batch time", (batch) => batchLink(batch.time_ms, interval), "time"],
  withStatus && ["Status", (batch) => batchPill(batch.status)],
  ["Records", (batch) => count(batch.records), "number"],
  ["Scheduling delay", (batch) => span(batch.scheduling_delay_ms), "number"],
  ["Processing time", (batch) => span(batch.processing_time_ms), "number"],
  ["Total delay", (batch) => span(batch.total_delay_ms), "number"],
  ["Outputs: succeeded / begun", (batch) => `${count(batch.outputs_succeeded)} / ${count(batch.outputs)}`, "number"],
  ["Error", (batch) => batch.failure && h("span", { class: "bad-text" }, batch.failure.split("\n")[0].slice(0, 160)), "text"],
].filter(Boolean);

/** The batches of the overview. */
export const batchTables = (job) => {
  const interval = job.status.batch_interval_ms;
  const more = job.status.pending > job.active.length ? `, the first ${count(job.active.length)} of ${count(job.status.pending)}` : "";
  return [
    h("section", { class: "card", "data-item": "active" }, h("div", { class: "head" }, h("h2", {}, `Waiting and running batches${more}`)),
      table("Waiting and running batches", batchColumns(interval), job.active, "no batch waits")),
    h("section", { class: "card", "data-item": "completed" },
      h("div", { class: "head" }, h("h2", {}, `Last ${things(job.done.length, "batch", "batches")} of ${count(job.status.batches_completed)} completed`), h("a", { href: "#/batches" }, "all that are kept")),
      table("Completed batches", batchColumns(interval), job.done, "no batch is done yet")),
  ];
};

/** The page of batches: filtered, and page by page. */
export const batches = (job, page, query, go) => {
  const limit = Number(query.limit || 50);
  const offset = Number(query.offset || 0);
  const option = (value, text) => h("option", { value, selected: (query.status || "") === value }, text);
  const status = h("select", { id: "status", change: (event) => go({ ...query, status: event.target.value, offset: 0 }) },
    option("", "all"), option("completed", "done"), option("failed", "failed"), option("processing", "running"), option("queued", "waiting"));
  const longer = h("input", { id: "longer", type: "number", min: 0, value: query.longer_than_ms || "", size: 8, change: (event) => go({ ...query, longer_than_ms: event.target.value, offset: 0 }) });
  const step = (text, to, isPossible) => h("button", { type: "button", disabled: !isPossible, click: () => go({ ...query, offset: to }) }, text);
  const last = Math.min(page.total, offset + page.batches.length);
  return h("section", { class: "card" },
    h("div", { class: "head" }, h("h2", {}, "Batches"),
      h("label", { for: "status", class: "dim" }, "Status "), status,
      h("label", { for: "longer", class: "dim" }, "Total delay over (ms) "), longer,
      h("span", { class: "gap" }),
      h("span", { class: "dim", role: "status", "data-item": "range" }, page.total === 0 ? "none" : `${count(offset + 1)} to ${count(last)} of ${count(page.total)} kept`),
      step("Newer", Math.max(0, offset - limit), offset > 0), step("Older", offset + limit, last < page.total)),
    table("Batches", batchColumns(job.status.batch_interval_ms), page.batches, "no batch is kept that fits"));
};

/** The page of one batch. */
export const batch = (job, one) => {
  const interval = job.status.batch_interval_ms;
  const link = (ms, text) => (ms === null ? h("span", { class: "dim" }, text) : h("a", { href: `#/batch/${ms}` }, text));
  const all = one.stages.reduce((sum, stage) => sum + stage.duration_ms, 0);
  const operators = (stage) => stage.operators.map((operator) => `${operator.role === "apply" ? "" : `${operator.role} `}${operator.name || operator.kind}`).join(", ") || NOT_KNOWN;
  return [
    h("p", {}, h("a", { href: "#/batches" }, "All batches"), " · ", link(one.earlier_ms, "Earlier"), " · ", link(one.later_ms, "Later")),
    h("h1", {}, "Batch of ", timeElement(one.time_ms), " ", batchPill(one.status)),
    h("div", { class: "two" },
      h("section", { class: "card" }, h("h2", {}, "Times"), facts(
        ["Batch time", h("span", { class: "mono" }, `${one.time_ms} ms`)],
        ["Batch interval", span(interval)],
        ["Submitted", time(one.submission_ms, true)],
        ["Scheduling delay", span(one.scheduling_delay_ms)],
        ["Processing began", time(one.processing_start_ms, true)],
        ["Processing time", span(one.processing_time_ms)],
        ["Total delay", span(one.total_delay_ms)],
        one.run_id > 0 && ["Run", `${one.run_id}, of an upgrade`])),
      h("section", { class: "card" }, h("h2", {}, "Input"),
        facts(["Records", count(one.records)], ["Spilled to disk", bytes(one.spilled_bytes)]),
        table("Input by source", [
          ["Source", (input) => input.name || `number ${input.source}`], ["Records", (input) => count(input.records), "number"],
          ["Description", (input) => input.description && h("pre", {}, input.description), "text"],
        ], one.inputs, "no source"))),
    h("section", { class: "card" }, h("h2", {}, "Outputs"), table("Outputs", [
      ["Output", (output) => output.name || `number ${output.id}`], ["Description", (output) => output.description || ""],
      ["Began", (output) => time(output.start_ms, true), "time"], ["Took", (output) => span(output.duration_ms), "number"],
      ["In driver functions", (output) => (output.driver_time_ms > 0 ? span(output.driver_time_ms) : ""), "number"],
      ["Status", (output) => batchPill(output.failure ? "failed" : output.end_ms === null ? "processing" : "completed")],
    ], one.output_operations, "no output has begun"),
    one.output_operations.filter((output) => output.failure).map((output) => [h("h3", {}, `Error of ${output.name}`), h("pre", {}, output.failure)])),
    h("section", { class: "card" }, h("h2", {}, "Stages"), table("Stages", [
      ["Stage", (stage) => stage.stage, "number"], ["Operators", operators, "text"],
      ["Tasks", (stage) => count(stage.tasks), "number"], ["Rows read", (stage) => count(stage.rows_read), "number"],
      ["Rows written", (stage) => count(stage.rows_written), "number"],
      ["Bytes read", (stage) => bytes(stage.bytes_read), "number"], ["Bytes written", (stage) => bytes(stage.bytes_written), "number"], ["Shuffled", (stage) => bytes(stage.shuffle_bytes), "number"],
      ["Time in tasks", (stage) => span(stage.task_time_ms), "number"], ["In the plugin", (stage) => span(stage.plugin_time_ms), "number"], ["Took", (stage) => span(stage.duration_ms), "number"],
      ["Share", (stage) => (all > 0 ? meter(stage.duration_ms / all) : NOT_KNOWN)],
      ["Error", (stage) => stage.failure && h("span", { class: "bad-text" }, stage.failure), "text"],
    ], one.stages, "no stage has run")),
    one.tasks.length > 0 && h("section", { class: "card" }, h("h2", {}, "Tasks"), table("Tasks", [
      ["Stage", (task) => task.stage, "number"], ["Partition", (task) => task.partition, "number"], ["Attempts", (task) => count(task.attempts), "number"],
      ["Began", (task) => time(task.start_ms, true), "time"], ["Took", (task) => span(task.duration_ms), "number"],
      ["In attempts", (task) => span(task.task_time_ms), "number"],
      ["In the plugin", (task) => span(task.plugin_time_ms), "number"], ["In the host", (task) => span(Math.max(0, task.task_time_ms - task.plugin_time_ms)), "number"],
      ["Rows read", (task) => count(task.rows_read), "number"], ["Rows written", (task) => count(task.rows_written), "number"],
      ["Bytes read", (task) => bytes(task.bytes_read), "number"], ["Bytes written", (task) => bytes(task.bytes_written), "number"],
      ["Error", (task) => task.failure && h("span", { class: "bad-text" }, task.failure), "text"],
    ], one.tasks, "")),
    one.retries.length > 0 && h("section", { class: "card" }, h("h2", {}, "Tasks that ran again"), table("Tasks that ran again", [
      ["Stage", (retry) => retry.stage, "number"], ["Partition", (retry) => retry.partition, "number"], ["Reason", (retry) => h("pre", {}, retry.reason), "text"],
    ], one.retries, "")),
  ].filter(Boolean);
};

/** The page of the graph. */
export const graph = (job, view) => {
  const run = Math.max(0, ...view.stages.map((stage) => stage.run_id));
  const stages = view.stages.filter((stage) => stage.run_id === run);
  const all = stages.reduce((sum, stage) => sum + stage.recent_ms, 0);
  const stageOf = new Map();
  const shares = new Map();
  for (const stage of stages) {
    for (const operator of stage.operators) {
      const of = stageOf.get(operator.node) || new Set();
      stageOf.set(operator.node, of.add(stage.stage));
      // An operator whose time is not known has the time of its stage.
      const part = operator.share === null ? 1 : operator.share * stage.plugin_part;
      const [before, own] = [shares.get(operator.node) || 0, (stage.recent_ms / all) * part];
      if (all > 0) shares.set(operator.node, operator.share === null ? Math.max(before, own) : before + own);
    }
  }
  const timed = stages.flatMap((stage) => stage.operators.filter((operator) => operator.sampled_rows > 0).map((operator) => ({ stage, operator })));
  const edge = (from, to) => {
    const read = stages.find((stage) => stage.inputs.some((input) => input.kind !== "shuffle" && input.node === from) && stage.operators.some((operator) => operator.node === to));
    if (read) return read.rows_read_per_second;
    const written = stages.filter((stage) => stage.output.kind !== "data_set" && stage.output.node === to);
    return written.length === 1 ? written[0].rows_written_per_second : undefined;
  };
  const nodes = (view.graph?.nodes || []).map((node) => ({
    id: node.node, name: node.name ?? node.parameters?.source, kind: node.kind, reads: node.reads, share: shares.get(node.node),
    note: [node.name ?? node.parameters?.source ? node.kind : null, stageOf.has(node.node) ? `stage ${[...stageOf.get(node.node)].join(", ")}` : null].filter(Boolean).join(" · ") || `node ${node.node}`,
  }));
  return [
    h("h1", {}, "Graph"),
    h("section", { class: "card" }, h("div", { class: "head" }, h("h2", {}, "Streams and operators"),
      h("span", { class: "note" }, `bar: share of the time of the last ${things(view.recent_batches, "batch", "batches")}, by operator where operators were timed, else by stage; a thick border: 30 % or more; on edges: rows a second`)),
    nodes.length === 0 ? h("p", { class: "empty" }, "the graph is not kept after the end of a job") : h("div", { class: "scroll graph", tabindex: 0, role: "region", "aria-label": "Graph" }, drawGraph({ nodes, rates: edge }))),
    h("section", { class: "card" }, h("h2", {}, "Stages"), table("Stages", [
      ["Stage", (stage) => stage.stage, "number"],
      ["Operators", (stage) => stage.operators.map((operator) => operator.name || operator.kind).join(", "), "text"],
      ["Share of time", (stage) => (all > 0 ? meter(stage.recent_ms / all) : NOT_KNOWN)],
      ["Time a run", (stage) => span(stage.duration_ms / stage.runs), "number"],
      ["Time a row", (stage) => { const rows = stage.inputs.reduce((sum, input) => sum + input.rows, 0); return rows > 0 ? `${count((stage.task_time_ms * 1e6) / rows)} ns` : NOT_KNOWN; }, "number"],
      ["In the plugin", (stage) => percent(stage.task_time_ms > 0 ? Math.min(1, stage.plugin_time_ms / stage.task_time_ms) : undefined), "number"],
      ["Calls of the plugin", (stage) => count(stage.plugin_calls), "number"], ["Largest instance", (stage) => bytes(stage.plugin_memory_bytes), "number"],
      ["Rows read", (stage) => rate(stage.rows_read_per_second), "number"], ["Rows written", (stage) => rate(stage.rows_written_per_second), "number"],
      ["Shuffled in all", (stage) => bytes(stage.shuffle_bytes), "number"], ["Tasks", (stage) => count(stage.tasks), "number"],
      ["Ran again", (stage) => count(stage.retries), "number"], ["Failures", (stage) => count(stage.failures), "number"],
    ], stages, "no stage has run yet")),
    h("section", { class: "card" }, h("h2", {}, "Time by operator"), table("Time by operator", [
      ["Operator", ({ operator }) => operator.name || operator.kind, "text"], ["Kind", ({ operator }) => `${operator.role === "apply" ? "" : `${operator.role} of `}${operator.kind}`, "text"],
      ["Stage", ({ stage }) => stage.stage, "number"],
      ["Share of the stage in the plugin", ({ operator }) => meter(operator.share)],
      ["Time a row of the task", ({ operator }) => `${count((operator.sampled_ms * 1e6) / operator.sampled_rows)} ns`, "number"],
      ["Rows of the samples", ({ operator }) => count(operator.sampled_rows), "number"],
    ], timed, "no operator was timed yet")),
    h("section", { class: "card" }, h("h2", {}, "Outputs"), table("Outputs", [
      ["Output", (output) => output.name], ["Description", (output) => output.description, "text"],
      ["Runs", (output) => count(output.runs), "number"], ["Failures", (output) => count(output.failures), "number"],
    ], view.outputs, "no output has run yet")),
  ];
};

/** The page of sources. */
export const sources = (job) => {
  const byId = new Map(job.sources.map((source) => [source.id, { ...source, receiver: undefined }]));
  for (const receiver of job.status.receivers) {
    const source = byId.get(receiver.stream_id) || { id: receiver.stream_id, name: receiver.name, processed: 0, received: 0, errors: 0 };
    byId.set(receiver.stream_id, { ...source, receiver });
  }
  const interval = job.status.batch_interval_ms;
  const newest = job.slots.slice(-5);
  const seconds = newest.reduce((sum, slot) => sum + slot.batches, 0) * (interval || 0) / 1000;
  const now = (id) => (seconds > 0 ? newest.reduce((sum, slot) => sum + (slot.records[id] || 0), 0) / seconds : undefined);
  const state = ({ receiver }) => (receiver === undefined ? pill("read at each batch", "") : receiver.active ? pill("active", "good") : pill("not connected", "bad"));
  const limit = ({ receiver }) => receiver?.rate_limit?.description || "none";
  const files = Object.entries(job.status.files);
  return [
    h("h1", {}, "Sources and receivers"),
    h("section", { class: "card" }, table("Sources", [
      ["Source", (source) => h("strong", {}, source.name)], ["State", state],
      ["Records now", (source) => rate(now(source.id)), "number"], ["Records processed", (source) => count(source.processed), "number"],
      ["Errors", (source) => count(source.errors), "number"], ["Limit", limit, "text"],
      ["Listens at", ({ receiver }) => receiver?.url && h("code", {}, receiver.url), "text"],
      ["Last error", ({ receiver }) => receiver?.last_error && [timeElement(receiver.last_error_ms), ": ", receiver.last_error], "text"],
    ], [...byId.values()], "no source is known yet")),
    files.length > 0 && h("section", { class: "card" }, h("h2", {}, "Files that are not read"), table("Files that are not read", [
      ["Source", ([name]) => name], ["Changed", ([, one]) => count(one.changed), "number"], ["Gone", ([, one]) => count(one.missing), "number"],
      ["Still there", ([, one]) => count(one.left), "number"],
      ["Passed over", ([, one]) => Object.values(one.passed_over).map((cause) => h("p", {}, `${things(cause.files, "file", "files")} ${cause.what}, such as `, h("code", {}, cause.example))), "text"],
    ], files, "")),
  ].filter(Boolean);
};

/** The page of state and checkpoints. */
export const state = (job) => {
  const checkpoint = job.status.checkpoint;
  const failing = Object.entries(checkpoint?.failing || {});
  const accumulators = Object.entries(job.status.accumulators);
  const consumers = Object.entries(job.memory?.consumers || {}).sort(([, one], [, other]) => other - one);
  const taken = consumers.reduce((sum, [, one]) => sum + one, 0);
  return [
    h("h1", {}, "State and checkpoints"),
    h("section", { class: "card" }, h("h2", {}, "State by operator"), table("State by operator", [
      ["Operator", (operator) => operator.name || `${operator.kind} (node ${operator.node})`], ["Kind", (operator) => operator.kind],
      ["Keys", (operator) => count(operator.keys), "number"], ["Size", (operator) => bytes(operator.bytes), "number"],
      ["Type of keys", (operator) => h("code", {}, operator.key_type), "text"], ["Type of state", (operator) => h("code", {}, operator.state_type), "text"],
      ["After batch", (operator) => timeElement(operator.batch_ms), "time"],
    ], job.status.operators, "no operator keeps state")),
    h("section", { class: "card" }, h("h2", {}, "Checkpoints"), checkpoint === null ? h("p", { class: "empty" }, "the job has no checkpoint directory: set job.checkpoint to continue after a crash") : facts(
      ["Run", h("code", {}, job.status.run || NOT_KNOWN)], ["Owner", count(job.status.epoch)],
      ["Last checkpoint", checkpoint.written_ms === null ? "none yet" : [timeElement(checkpoint.written_ms), `, ${span(Math.max(0, job.now_ms - checkpoint.written_ms))} ago`]],
      job.snapshot && ["Last snapshot of state", `${things(job.snapshot.keys, "key", "keys")}, ${bytes(job.snapshot.bytes)}, ${job.snapshot.is_full ? "all keys" : `${count(job.snapshot.rows)} changed rows`}, in ${span(job.snapshot.duration_ms)}`],
      ...failing.map(([what, trouble]) => [h("span", { class: "bad-text" }, `Cannot write ${what}`), [timeElement(trouble.since_ms), ": ", trouble.error]]))),
    h("section", { class: "card", "data-item": "memory" }, h("h2", {}, "Memory"),
      facts(
        job.memory && ["Taken", `${bytes(taken)}, ${percent(taken / job.memory.budget_bytes)} of ${bytes(job.memory.budget_bytes)}`],
        ["Spilled to disk in all", bytes(job.status.spilled_bytes)]),
      job.memory && table("Memory by consumer", [
        ["Consumer", ([name]) => name], ["Taken", ([, one]) => bytes(one), "number"], ["Share", ([, one]) => meter(one / job.memory.budget_bytes)],
      ], consumers, "nothing is taken")),
    accumulators.length > 0 && h("section", { class: "card" }, h("h2", {}, "Accumulators"), table("Accumulators", [
      ["Name", ([name]) => name],
      ["Value", ([, value]) => (value.type === "collection" ? value.first.join(", ") : short(value.value)), "text"], ["Values added", ([, value]) => count(value.count), "number"],
    ], accumulators, "")),
  ].filter(Boolean);
};

/** The page of upgrades. */
export const upgrade = (job, view, steps) => [
  h("h1", {}, "Upgrade"),
  view === null
    ? h("section", { class: "card" }, h("p", { class: "empty" }, "No upgrade since the host was started. "), h("p", {}, "Start one with ", h("code", {}, "host upgrade JOB.TOML --plugin FILE"), "."))
    : h("div", { class: "two" },
        h("section", { class: "card" }, h("h2", {}, "Progress"), facts(
          ["Step", view.phase.replaceAll("_", " ")], ["New plugin", h("code", {}, view.plugin)],
          ["Began", timeElement(view.started_ms)], ["Batches compared", count(view.compared)],
          ["Differences", view.differences > 0 ? h("strong", { class: "bad-text" }, count(view.differences)) : count(view.differences)],
          ["New run takes", view.slowdown === null ? NOT_KNOWN : `${view.slowdown.toFixed(2)} times as long`])),
        h("section", { class: "card" }, h("h2", {}, "What changes"), h("pre", { tabindex: 0 }, [...(view.graph || []), ...(view.keys || []).map((key) => `${key.key}: ${key.before} to ${key.after}`)].join("\n") || "nothing that can be seen"))),
  h("section", { class: "card" }, h("h2", {}, "Steps"), table("Steps of upgrades", [
    ["Time", (step) => timeElement(step.time_ms), "time"], ["Step", (step) => step.step], ["Plugin", (step) => h("code", {}, step.plugin), "text"],
    ["Compared", (step) => count(step.compared), "number"], ["Differences", (step) => count(step.differences), "number"], ["Reason", (step) => step.reason || "", "text"],
  ], steps, "none")),
];

const LEVELS = { error: ["✕ error", "bad"], warning: ["▲ warning", "warn"], info: ["notice", ""] };

/** The page of the log. */
export const log = (lines, query, go) => {
  const wanted = query.level || "";
  const shown = lines.filter((line) => wanted === "" || line.level === wanted || (wanted === "warning" && line.level === "error"));
  const option = (value, text) => h("option", { value, selected: wanted === value }, text);
  return [
    h("h1", {}, "Log"),
    h("section", { class: "card" }, h("div", { class: "head" }, h("h2", {}, "Events that need attention"),
      h("label", { for: "level", class: "dim" }, "Show "),
      h("select", { id: "level", change: (event) => go({ level: event.target.value }) }, option("", "all"), option("warning", "warnings and errors"), option("error", "errors")),
      h("span", { class: "note" }, "a line that comes again is counted; the log on standard error has every line")),
    table("Log", [
      ["Last", (line) => timeElement(line.time_ms), "time"], ["Level", (line) => pill(...LEVELS[line.level])],
      ["Times", (line) => count(line.count), "number"], ["Text", (line) => line.text, "text"],
    ], shown, "nothing")),
  ];
};

/** The page of settings. */
export const settings = (job, view) => [
  h("h1", {}, "Settings"),
  h("section", { class: "card" }, h("h2", {}, "Job"), facts(
    ["Job file", h("code", {}, view.job_file)], ["Version of the host", job.host_version], ["Process", job.status.pid === null ? NOT_KNOWN : String(job.status.pid)],
    ["Started", timeElement(job.status.since_ms)])),
  h("section", { class: "card" }, h("h2", {}, "Keys that the job file and the command line give"), table("Settings", [
    ["Key", ([key]) => h("code", {}, key)], ["Value", ([, value]) => h("code", {}, value), "text"],
    ["Set while the job runs", ([key]) => (key in view.set ? h("code", {}, view.set[key]) : ""), "text"],
  ], Object.entries({ ...Object.fromEntries(Object.keys(view.set).map((key) => [key, ""])), ...view.given }), "none")),
  h("section", { class: "card" }, h("h2", {}, "For programs"), h("ul", {},
    h("li", {}, h("code", {}, "metrics"), " for Prometheus"),
    h("li", {}, h("code", {}, "api/millstream/v1/"), ", described by ", h("code", {}, "api/millstream/v1/openapi.json")),
    h("li", {}, h("code", {}, `api/v1/applications/${job.status.job}/streaming/`), " as Spark has it"),
    h("li", {}, h("code", {}, "health"), " and ", h("code", {}, "ready"), " for containers"))),
];
