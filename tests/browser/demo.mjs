// Opens a demo page through Python's web server, gives it pictures as people do, and fails where
// its answers aren't those of gtsrb-predict.
//
// usage: CHROMIUM=chromium PLAYWRIGHT_CORE=DIR node demo.mjs DEMO PREDICTIONS TOLERANCE
//     [SCREENSHOT.png [dark [WIDTH]]]
//
// PREDICTIONS is what `gtsrb-predict --json --top 5` printed; probabilities may differ by TOLERANCE.

import { strict as assert } from "node:assert";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { basename } from "node:path";

import { report, visit } from "./browser.mjs";

const [demo, predictions, tolerance, screenshot, colorScheme = "light", width = "1100"] =
  process.argv.slice(2);
const said = readFileSync(predictions, "utf8").trim().split("\n").map((line) => JSON.parse(line))
  .filter((prediction) => prediction.path);

// Waits for what the page says of the picture `name`.
async function answer(page, name) {
  await page.locator("#size", { hasText: `${name},` }).waitFor();
  await page.locator("#status:is(.sure, .unsure)").waitFor();
  const rows = await page.locator("#classes li").evaluateAll((items) => items.map((item) => ({
    label: Number(item.dataset.label),
    name: item.querySelector(".name").textContent,
    probability: Number(item.dataset.probability),
  })));
  return { rows, sure: await page.locator("#status.sure").count() === 1 };
}

// The largest difference of a probability; the order of close ones may differ.
function compare({ rows, sure }, { path, top, sure: wasSure, probability }) {
  const off = top.map((wanted) => {
    const found = rows.find((row) => row.label === wanted.label);
    if (found) assert.equal(found.name, wanted.name);
    return Math.abs((found?.probability ?? 0) - wanted.probability);
  });
  const most = Math.max(...off);
  assert.ok(most <= Number(tolerance), `${path}: a probability is off by ${most}`);
  const close = top.length > 1 && top[0].probability - top[1].probability <= 2 * Number(tolerance);
  if (!close) assert.equal(rows[0].label, top[0].label, path);
  if (sure !== wasSure) assert.ok(most > 0, `${path}: ${sure ? "sure" : "unsure"} (${probability})`);
  return most;
}

async function chooses(page) {
  let most = 0;
  for (const prediction of said) {
    await page.setInputFiles("#file", prediction.path);
    const found = await answer(page, basename(prediction.path));
    most = Math.max(most, compare(found, prediction));
  }
  return most;
}

async function drops(page, { path, ...prediction }) {
  const name = `dropped ${basename(path)}`;
  await page.evaluate(([name, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(bytes)], name));
    const event = { bubbles: true, cancelable: true, dataTransfer: data };
    document.querySelector("#drop").dispatchEvent(new DragEvent("drop", event));
  }, [name, [...readFileSync(path)]]);
  compare(await answer(page, name), { path: name, ...prediction });
}

async function refuses(page) {
  await page.setInputFiles("#file",
    { name: "<b>note</b>.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
  await page.locator("#status", { hasText: "<b>note</b>.png is no picture" }).waitFor();
  assert.equal(await page.locator("#classes li").count(), 0);
}

// By keyboard alone, to the camera and back.
async function films(page) {
  await page.focus("#file");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#video").videoWidth > 0);
  assert.equal(await page.evaluate(() => document.activeElement.id), "take");
  await page.keyboard.press("Space");
  assert.equal((await answer(page, "From the camera")).rows.length > 1, true);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "camera");
  assert.equal(await page.locator("#live").isVisible(), false);
}

// What a screen reader is told: every control has a name, the answer is announced.
async function speaks(page) {
  const tree = await page.locator("body").ariaSnapshot();
  for (const wanted of ['- heading "The answer"', "- status", '- button "Use the camera"',
    '- button "Drop a picture here, paste one, or choose a file"']) {
    assert.ok(tree.includes(wanted), `${wanted} isn't in\n${tree}`);
  }
}

const server = spawn(process.env.ORACLE_PYTHON || "python3",
  ["-u", "-m", "http.server", "-d", demo, "-b", "127.0.0.1", "0"],
  { stdio: ["ignore", "pipe", "ignore"] });
try {
  await report("the demo works", async () => {
    const [line] = await once(server.stdout, "data");
    const address = `http://127.0.0.1:${/port (\d+)/.exec(line)[1]}/`;
    const options = {
      allowed: [address, "blob:", "data:"],
      args: ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
      colorScheme,
      viewport: { width: Number(width), height: 800 },
    };
    await visit(address, options, async (page) => {
      await page.locator("#status", { hasText: "Ready" }).waitFor();
      await speaks(page);
      const most = await chooses(page);
      console.error(`${said.length} pictures, probabilities off by ${most.toExponential(1)} at most`);
      if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
      await drops(page, said[0]);
      await refuses(page);
      await films(page);
    });
  });
} finally {
  server.kill();
}
