// Opens a report in headless Chromium, clicks through it, and fails on whatever doesn't work.
//
// usage: CHROMIUM=chromium PLAYWRIGHT_CORE=DIR node report.mjs REPORT.html [SCREENSHOT.png [dark]]

import { strict as assert } from "node:assert";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { report, visit } from "./browser.mjs";

const [file, screenshot, colorScheme = "light"] = process.argv.slice(2);

// The head of the table of classes sorts it: up, then down; the heads say so.
async function sorts(page) {
  const heads = page.locator("#class-table thead th");
  const names = await heads.allTextContents();
  const recall = names.indexOf("recall");
  const numbers = async () => {
    const cells = page.locator(`#class-table tbody tr > :nth-child(${recall + 1})`);
    return (await cells.allTextContents()).map(parseFloat).filter((n) => !Number.isNaN(n));
  };
  await heads.nth(recall).getByRole("button").click();
  const up = await numbers();
  assert.deepEqual(up, [...up].sort((a, b) => a - b), "sorted up");
  assert.equal(await heads.nth(recall).getAttribute("aria-sort"), "ascending");
  await heads.nth(recall).getByRole("button").click();
  assert.deepEqual(await numbers(), [...up].reverse(), "sorted down");
}

async function filters(page) {
  const rows = await page.locator("#class-table tbody tr").count();
  const said = page.locator("#class-said");
  await page.fill("#class-filter", "no such class");
  assert.equal(await said.textContent(), `0 of ${rows}`);
  await page.fill("#class-filter", "");
  assert.equal(await said.textContent(), `${rows} of ${rows}`);
}

// A click on a red cell of the matrix shows its pictures alone.
async function showsMistakes(page) {
  const cell = page.locator("[data-cell].open.bad").first();
  await cell.click();
  const chosen = await cell.getAttribute("data-cell");
  assert.equal(await page.inputValue("#cell"), chosen);
  const shown = page.locator("#mistakes figure:not([hidden])");
  const cells = await shown.evaluateAll((all) => all.map((figure) => figure.dataset.cell));
  assert.ok(cells.length > 0, "no pictures");
  assert.deepEqual([...new Set(cells)], [chosen]);
  const five = await shown.first().locator("ol > li").count();
  assert.ok(five > 1 && five <= 5, `${five} classes of a picture`);
}

// The most confused pairs have pictures of both sides.
async function showsPairs(page) {
  const first = page.locator(".pairs tbody tr").first();
  assert.ok(await first.locator("th img").count() === 1, "no reference picture");
  assert.ok(await first.locator(".strip img").count() > 0, "no confused pictures");
}

// Pointing at the map shows a sign, and so do the arrow keys; a class can be seen alone.
async function exploresTheMap(page) {
  const said = page.locator("#map-said");
  await page.locator("#map-box").scrollIntoViewIfNeeded();
  const [x, y] = await page.locator("#map-box").evaluate((box) => {
    const [left, top] = JSON.parse(box.dataset.map).points[0];
    const at = new DOMPoint(left, top).matrixTransform(box.querySelector("svg").getScreenCTM());
    return [at.x, at.y];
  });
  await page.mouse.move(x, y);
  assert.match(await said.textContent(), /^is \d+ .*%\)/, "nothing said of a point");
  const opaque = await page.locator("#map-tile").evaluate((tile) =>
    tile.getContext("2d").getImageData(56, 56, 1, 1).data[3]);
  assert.equal(opaque, 255, "no sign");

  await page.selectOption("#map-shown", "mistakes");
  await page.focus("#map-box");
  await page.keyboard.press("ArrowRight");
  const before = await said.textContent();
  assert.match(before, /taken for/, "no mistake");
  const marks = page.locator("#map-box [data-marks]");
  const bright = marks.locator(":scope:not(.faded)");
  assert.deepEqual(await bright.evaluateAll((all) => all.map((one) => one.dataset.marks)), ["mistakes"]);
  for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) await page.keyboard.press(key);
  assert.match(await said.textContent(), /taken for/);
  await page.selectOption("#map-shown", "");
  assert.equal(await bright.count(), await marks.count(), "all classes again");
}

await report("the report works", () =>
  visit(pathToFileURL(resolve(file)).href, { allowed: ["file:", "data:"], colorScheme },
    async (page) => {
      assert.equal(await page.locator(".controls[hidden]").count(), 0, "hidden controls");
      await sorts(page);
      await filters(page);
      await showsMistakes(page);
      await showsPairs(page);
      await exploresTheMap(page);
      if (screenshot) {
        await page.selectOption("#cell", "");
        await page.screenshot({ path: screenshot });
      }
    }));
