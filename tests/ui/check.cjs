// check.cjs HOST PLUGINS SCRATCH [--pictures DIR]: starts jobs, looks at their pages in Chromium as a reader does, and compares
// what the pages say with the events files. Exits with 1 at the first difference.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [host, plugins, scratch, option, pictures] = process.argv.slice(2);
assert(option === undefined || (option === "--pictures" && pictures));
const TOKEN = "c0rrect-horse";
// Only a page that never says what it should takes this long.
const PATIENCE_MS = 60000;

const say = (text) => console.log(`tests/ui: ${text}`);

/** Waits until a function returns something. */
const until = async (what, look) => {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < deadline, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

/** A job that runs in a directory of its own. */
class Job {
  constructor(name, toml, files = {}) {
    this.directory = path.join(scratch, name);
    fs.mkdirSync(this.directory, { recursive: true });
    for (const [file, content] of Object.entries({ "job.toml": toml, ...files })) {
      fs.mkdirSync(path.dirname(path.join(this.directory, file)), { recursive: true });
      fs.writeFileSync(path.join(this.directory, file), content);
    }
    this.child = spawn(host, ["run", "job.toml", "--ui", "--events", "events.jsonl"], { cwd: this.directory, stdio: ["ignore", "ignore", "pipe"] });
    this.said = "";
    this.child.stderr.on("data", (text) => { this.said += text; });
    this.ended = new Promise((resolve) => this.child.on("exit", resolve));
    Job.all.push(this);
  }

  async url() {
    await until("the URL of the page", () => this.said.includes("PageListens: ") || this.child.exitCode !== null);
    const found = /PageListens: (\S+)/.exec(this.said);
    assert(found, this.said);
    return found[1];
  }

  events() {
    const lines = fs.readFileSync(path.join(this.directory, "events.jsonl"), "utf8").split("\n");
    return lines.slice(0, -1).filter(Boolean).map((line) => JSON.parse(line));
  }

  batches() {
    return this.events().filter((event) => event.event === "BatchCompleted").map((event) => event.batch);
  }
}
Job.all = [];

/** A server to which the receiver of a job connects. */
class Lines {
  async listen(port = 0) {
    this.sockets = [];
    this.server = net.createServer((socket) => { socket.on("error", () => {}); this.sockets.push(socket); });
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    return this.server.address().port;
  }

  send(text) {
    for (const socket of this.sockets) socket.write(text);
  }

  async close() {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }
}

const PAGES = ["", "batches", "graph", "sources", "state", "upgrade", "log", "settings"];

/** Whether pages fit the screen and are accessible, in both colours and on both screens. */
const inspect = async (browser, url, names, withToken) => {
  for (const [width, colorScheme] of [[1440, "light"], [1440, "dark"], [360, "light"], [360, "dark"]]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    const problems = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await page.goto(withToken ? `${url}#token=${TOKEN}` : url);
    for (const name of names) {
      await page.evaluate((hash) => { location.hash = hash; }, `#/${name}`);
      await page.waitForFunction((hash) => location.hash === hash && document.querySelector("main section"), `#/${name}`);
      await page.waitForTimeout(300);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert(overflow <= 0, `${name} is ${overflow} px wider than a screen of ${width} px`);
      // The policy of the page allows no script that is put into it: axe-core runs in the world of the test.
      await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
      assert.deepEqual(serious.map((one) => [one.id, one.nodes.map((node) => node.html)]), [], `${name}, ${width} px, ${colorScheme}`);
      if (pictures) await page.screenshot({ path: path.join(pictures, `${name.replace(/\W.*/, "") || "overview"}-${width}-${colorScheme}.png`), fullPage: true });
    }
    assert.deepEqual(problems, [], `${width} px, ${colorScheme}`);
    await context.close();
  }
};

const number = (text) => Number(text.replace(/[^0-9]/g, ""));

/** A job on a socket: keeps up, fails, recovers, loses its server, falls behind, catches up, and is stopped from its page. */
const followJob = async (browser) => {
  const lines = new Lines();
  const port = await lines.listen();
  const job = new Job("hostile", `[job]\nname = "watched"\nplugin = ${JSON.stringify(path.join(plugins, "hostile.wasm"))}\nbatch_interval = "100ms"\non_error = "continue"\nargs = { does = "panic" }\n\n[ui]\ntoken = "file:token.txt"\n\n[sources.lines]\ntype = "socket"\naddress = "127.0.0.1:${port}"\nreconnect_delay = "50ms"\n`, { "token.txt": TOKEN });
  const url = await job.url();
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, timezoneId: "Asia/Kolkata" });
  const page = await context.newPage();
  await page.goto(url);

  say("who does not know the token sees nothing");
  await page.waitForSelector("#login[open]");
  assert.equal(await page.locator("main section").count(), 0);
  await page.fill("#token", "wrong");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("login-problem").textContent.includes("does not know this token"));
  await page.fill("#token", TOKEN);
  await page.keyboard.press("Enter");

  const item = (name) => page.locator(`[data-item="${name}"]`);
  const health = () => item("health").innerText();
  const says = (text) => until(`the page says ${text}`, async () => (await health()).includes(text));
  say("the job keeps up");
  await says("keeps up");
  assert((await health()).includes("watched"));
  assert.equal(await page.title(), "watched: Overview");
  await until("the receiver is connected", () => lines.sockets.length > 0);
  lines.send("one\ntwo\nthree\n");
  await until("three records", async () => number(await item("records").locator("dd").innerText().then((text) => text.split("\n")[0])) === 3);
  assert.equal(job.batches().reduce((sum, batch) => sum + batch.num_records, 0), 3);

  say("a batch fails, and the page of the batch has the error of the events file");
  lines.send("boom\n");
  await says("outputs failed in");
  const failed = (await until("a failed batch in the events file", () => job.batches().find((batch) => batch.output_operations.some((output) => output.failure_reason))));
  await page.evaluate(() => { location.hash = "#/batches?status=failed"; });
  await page.locator(`a[href="#/batch/${failed.batch_time_ms}"]`).click();
  await page.waitForSelector("pre");
  const shown = await page.locator("pre").allInnerTexts();
  const reason = failed.output_operations.find((output) => output.failure_reason).failure_reason;
  assert(shown.some((text) => text.trim() === reason.trim()), `${shown} ${reason}`);
  const clock = new Date(failed.batch_time_ms).toLocaleTimeString("en-GB", { timeZone: "Asia/Kolkata" });
  assert((await page.locator("h1").innerText()).includes(clock), "the time of the batch is that of the reader's zone");
  assert((await page.locator("footer").innerText()).includes("GMT+5:30"));

  say("the job recovers");
  await page.evaluate(() => { location.hash = "#/"; });
  await says("keeps up");
  await until("no failure among the last batches", async () => !(await health()).includes("failed"));

  say("the receiver loses its server, and finds it again");
  await lines.close();
  await says("the receiver of lines is not connected");
  await page.evaluate(() => { location.hash = "#/sources"; });
  await until("the last error", async () => (await page.locator("main").innerText()).includes("not connected"));
  const error = job.events().filter((event) => event.event === "ReceiverError").pop().receiver.last_error_message;
  assert((await page.locator("main").innerText()).includes(error), error);
  await lines.listen(port);
  await until("the receiver is active", async () => (await page.locator("main").innerText()).includes("active"));

  say("the job falls behind, and catches up");
  await page.evaluate(() => { location.hash = "#/"; });
  await until("the receiver is connected", () => lines.sockets.length > 0);
  const flood = "a line of some words, and of some more\n".repeat(200000);
  let floods = 0;
  await until("the job falls behind", async () => {
    if (floods < 60) { lines.send(flood); floods += 1; }
    return job.events().some((event) => event.event === "FallingBehind");
  });
  await until("the page says so", async () => /falls behind by [0-9.]+ (ms|s|min), since \d\d:\d\d/.test(await health()) || job.events().some((event) => event.event === "CaughtUp"));
  await until("the job has caught up", () => job.events().some((event) => event.event === "CaughtUp"));
  await says("keeps up");

  say("the keyboard alone");
  // A page that is opened anew: an address that only repeats itself would leave the focus where it is.
  await page.goto("about:blank");
  await page.goto(`${url}#/`);
  await page.waitForSelector("main section");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  const reached = new Set();
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => document.activeElement.textContent.trim().slice(0, 20)));
    if (await page.evaluate(() => document.activeElement.getAttribute("href") === "#/graph")) {
      await page.keyboard.press("Enter");
      break;
    }
  }
  await page.waitForFunction(() => location.hash === "#/graph" && document.querySelector("h1")?.textContent === "Graph");

  say("all pages, on two screens, light and dark");
  await inspect(browser, url, [...PAGES, `batch/${failed.batch_time_ms}`], true);

  say("the job is stopped from its page");
  await page.goto(`${url}#/`);
  await page.waitForSelector("#stop:not([hidden])");
  await page.click("#stop");
  await page.click("#stop-soft");
  assert.equal(await job.ended, 0, job.said);
  await page.waitForSelector("#connection:not([hidden])");
  await lines.close().catch(() => {});
  await context.close();
};

/** Names of files with markup are text, and all figures of the page are those of the events file. */
const followFiles = async (browser) => {
  const name = "<img src=x onerror=document.title='taken'>.txt";
  const job = new Job("files", `[job]\nname = "files"\nplugin = ${JSON.stringify(path.join(plugins, "network_word_count.wasm"))}\nbatch_interval = "100ms"\n\n[sources.lines]\ntype = "text-files"\npath = "in"\nexisting_files = "read"\n`, { [`in/${name}`]: "to be or not to be\n" });
  const url = await job.url();
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const batch = await until("the file is read", () => fs.existsSync(path.join(job.directory, "events.jsonl")) && job.batches().find((one) => one.num_records > 0));
  await page.goto(`${url}#/batch/${batch.batch_time_ms}`);
  await page.waitForSelector("pre");
  say("a file whose name is markup");
  assert((await page.locator("pre").allInnerTexts()).some((text) => text.includes(name)));
  assert.equal(await page.title(), "files: Batch");
  assert.equal(await page.locator("main img").count(), 0);

  say("the figures are those of the events file");
  await page.goto(`${url}#/`);
  await page.waitForSelector('[data-item="completed"] tbody tr');
  await page.evaluate(() => window.getSelection().selectAllChildren(document.querySelector("footer")));
  // All at once: between two questions, the page may show another batch.
  const shown = await page.evaluate(() => Array.from(document.querySelectorAll('[data-item="completed"] tbody tr'), (row) => [row.querySelector("a").getAttribute("href"), Array.from(row.querySelectorAll("td"), (cell) => cell.innerText)]));
  const span = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`);
  await until("the events of these batches", () => job.batches().some((one) => `#/batch/${one.batch_time_ms}` === shown[0][0]));
  const events = new Map(job.batches().map((one) => [`#/batch/${one.batch_time_ms}`, one]));
  for (const [link, cells] of shown) {
    const told = events.get(link);
    assert.deepEqual(cells.slice(2, 7), [String(told.num_records), span(told.scheduling_delay_ms), span(told.processing_time_ms), span(told.total_delay_ms), "1 / 1"], link);
  }
  assert(shown.length > 3);
  const usable = await page.evaluate(() => {
    const [navigation] = performance.getEntriesByType("navigation");
    return Math.round(navigation.domContentLoadedEventEnd - navigation.responseStart);
  });
  say(`the page is usable ${usable} ms after its first byte`);
  job.child.kill("SIGINT");
  assert.equal(await job.ended, 0, job.said);
  await context.close();
};

const main = async () => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    await followFiles(browser);
    await followJob(browser);
  } finally {
    Job.all.forEach((job) => job.child.kill("SIGKILL"));
    await browser.close();
  }
  say("all as it should be");
};

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
