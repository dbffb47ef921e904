// Opens a report in headless Chromium, clicks through it, and fails on whatever doesn't work.
//
// usage: CHROMIUM=chromium node report.mjs REPORT.html [SCREENSHOT.png [dark]]
//
// Speaks Chromium's DevTools protocol over a pipe, so that nothing needs to be installed.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [report, screenshot, scheme] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "browser-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
  "--remote-debugging-pipe",
  `--user-data-dir=${profile}`, "about:blank"];
const browser = spawn(process.env.CHROMIUM, flags,
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

let over = false;
for (const event of ["error", "exit"]) {
  browser.on(event, (why) => {
    if (over) return;
    console.error(`Chromium ended: ${why}`);
    process.exit(1);
  });
}

const waiting = new Map();
const events = [];
let next = 1;
let rest = "";
browser.stdio[4].on("data", (data) => {
  const messages = (rest + data).split("\0");
  rest = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    if (message.id) waiting.get(message.id)(message);
    else events.push(message);
  }
});

function send(method, params = {}, sessionId = undefined) {
  const id = next++;
  browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  return new Promise((done, fail) => {
    waiting.set(id, ({ error, result }) => (error ? fail(new Error(error.message)) : done(result)));
  });
}

async function until(what, holds) {
  for (let tries = 0; tries < 600; tries++) {
    const found = await holds();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`waited a minute for ${what}`);
}

function check(what, found, wanted) {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }
}

async function main() {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const page = (method, params) => send(method, params, sessionId);
  const run = async (expression) => {
    const { result, exceptionDetails } =
      await page("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page(`${domain}.enable`);
  const value = scheme ?? "light";
  const features = [{ name: "prefers-color-scheme", value }];
  await page("Emulation.setEmulatedMedia", { features });
  const device = { width: 1200, height: 1600, deviceScaleFactor: 1, mobile: false };
  await page("Emulation.setDeviceMetricsOverride", device);
  await page("Page.navigate", { url: pathToFileURL(resolve(report)).href });
  await until("the page", () => events.some((e) => e.method === "Page.loadEventFired"));

  check("controls are shown", await run("document.querySelectorAll('.controls[hidden]').length"), 0);

  // Sorting: up, then down; the heads say so.
  const column = (name) => `[...document.querySelectorAll("#class-table thead th")]
    .findIndex((head) => head.textContent === "${name}")`;
  const numbers = (index) => `[...document.querySelectorAll("#class-table tbody tr")]
    .map((row) => parseFloat(row.cells[${index}].textContent)).filter((n) => !Number.isNaN(n))`;
  const recall = await run(column("recall"));
  const button = `document.querySelectorAll("#class-table thead button")[${recall}]`;
  await run(`${button}.click()`);
  const up = await run(numbers(recall));
  check("sorted up", up, [...up].sort((a, b) => a - b));
  check("said so", await run(`${button}.parentElement.ariaSort`), "ascending");
  await run(`${button}.click()`);
  check("sorted down", await run(numbers(recall)), [...up].reverse());

  // Filtering.
  const rows = await run("document.querySelectorAll('#class-table tbody tr').length");
  const type = (text) => run(`{ const input = document.getElementById("class-filter");
    input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event("input")); }`);
  await type("no such class");
  check("filtered", await run("document.getElementById('class-said').textContent"), `0 of ${rows}`);
  await type("");
  check("and back", await run("document.getElementById('class-said').textContent"),
    `${rows} of ${rows}`);

  // A real click on a red cell of the matrix shows its pictures alone.
  const place = await run(`(() => { const cell = document.querySelector("[data-cell].open.bad");
    cell.scrollIntoView({ block: "center" }); const box = cell.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2, cell.dataset.cell]; })()`);
  const mouse = { x: place[0], y: place[1], button: "left", clickCount: 1 };
  await page("Input.dispatchMouseEvent", { type: "mousePressed", ...mouse });
  await page("Input.dispatchMouseEvent", { type: "mouseReleased", ...mouse });
  check("chosen", await run("document.getElementById('cell').value"), place[2]);
  const shown = await run(`[...document.querySelectorAll("#mistakes figure:not([hidden])")]
    .map((figure) => figure.dataset.cell)`);
  check("its pictures", [shown.length > 0, new Set(shown).size], [true, 1]);
  const five = await run("document.querySelector('#mistakes figure:not([hidden]) ol').children.length");
  check("their first classes", five > 1 && five <= 5, true);

  // Nothing was asked of a network, nothing complained, and all pictures are there.
  check("pictures", await run(`[...document.images]
    .filter((image) => image.complete && image.naturalWidth === 0).length`), 0);
  const asked = events.filter((e) => e.method === "Network.requestWillBeSent")
    .map((e) => e.params.request.url).filter((url) => !/^(file|data):/.test(url));
  check("requests", asked, []);
  const complaints = events.filter((e) =>
    ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"].includes(e.method));
  check("complaints", complaints, []);
  if (screenshot) {
    await run("document.getElementById('cell').value = ''");
    await run("document.getElementById('cell').dispatchEvent(new Event('change'))");
    const { data } = await page("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(screenshot, Buffer.from(data, "base64"));
  }
}

let code = 0;
try {
  await main();
  console.log("the report works");
} catch (error) {
  console.error(error.message);
  code = 1;
}
over = true;
browser.kill();
browser.on("exit", () => {
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  process.exit(code);
});
