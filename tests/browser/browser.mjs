// A page in headless Chromium, driven by playwright-core, which `make browser` fetches.
//
// CHROMIUM names the browser, PLAYWRIGHT_CORE the library's folder.

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const library = pathToFileURL(join(process.env.PLAYWRIGHT_CORE, "index.mjs"));
const { chromium } = await import(library);

// Opens `url` and runs `test` on its page, which must ask for nothing beyond addresses that begin
// with one of `allowed` and must not complain. `options` are a context's, such as colorScheme.
export async function visit(url, { allowed, args = [], ...options }, test) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...args],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1200, height: 1600 }, ...options });
    const asked = [];
    const complaints = [];
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (message) => {
      // Said of WebGL where there is no GPU.
      if (!message.text().includes("GPU stall due to ReadPixels")) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    await test(page);
    const isOutside = (address) => !allowed.some((start) => address.startsWith(start));
    assert.deepEqual(asked.filter(isOutside), [], "requests");
    assert.deepEqual(complaints, [], "complaints");
    assert.equal(await page.evaluate(() => [...document.images]
      .filter((image) => image.complete && image.naturalWidth === 0).length), 0, "lost pictures");
  } finally {
    await browser.close();
  }
}

// Prints `done`, or why `main` failed, and ends with the exit code that fits.
export async function report(done, main) {
  try {
    await main();
    console.log(done);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
