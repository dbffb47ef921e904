// Opens a page, waits for its file input, gives it a picture, and prints what the page then says.
//
// usage: CHROMIUM=chromium PLAYWRIGHT_CORE=DIR node page.mjs URL PICTURE SELECTOR

import { visit } from "../browser/browser.mjs";

const [url, picture, selector] = process.argv.slice(2);
const { origin } = new URL(url);

await visit(url, { allowed: [origin, "data:", "blob:"] }, async (page) => {
  await page.locator("input[type=file]:enabled").waitFor({ state: "attached" });
  await page.setInputFiles("input[type=file]", picture);
  const said = page.locator(selector);
  await page.waitForFunction((at) => document.querySelector(at).textContent, selector);
  console.log(await said.textContent());
});
