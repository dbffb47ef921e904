// Classifies pictures with classifier.onnx, which takes the pixels as they are and holds
// everything else.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";

const SHOWN = 5;

const at = (id) => document.getElementById(id);

function say(text, kind = "soft") {
  at("status").textContent = text;
  at("status").className = kind;
}

// --- Pixels ---------------------------------------------------------------------------

// The pixels of a picture as they are in its file, as [height, width, 3] bytes.
async function pixelsOf(blob) {
  const bitmap = await createImageBitmap(blob,
    { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const rgba = rgbaOf(bitmap, width, height);
  bitmap.close();
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return { rgb, width, height };
}

// A canvas in two dimensions gives the right colours only where a picture is opaque.
function rgbaOf(bitmap, width, height) {
  const context = new OffscreenCanvas(width, height)
    .getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  for (let alpha = 3; alpha < rgba.length; alpha += 4) {
    if (rgba[alpha] < 255) return underAlpha(bitmap, width, height) ?? rgba;
  }
  return rgba;
}

// The colours under transparent places; null where the browser has no WebGL for them.
function underAlpha(bitmap, width, height) {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const rgba = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
  return gl.getError() === gl.NO_ERROR ? rgba : null;
}

// --- The answer -----------------------------------------------------------------------

let session;
let facts;

async function load() {
  // More threads need headers that not every server sends.
  ort.env.wasm.numThreads = 1;
  const wasm = new URL("onnxruntime-web/ort-wasm-simd-threaded.wasm", import.meta.url).href;
  ort.env.wasm.wasmPaths = { wasm };
  const response = await fetch("demo.json");
  if (!response.ok) throw new Error(`demo.json: ${response.status}`);
  facts = await response.json();
  document.title = facts.name;
  document.querySelector("h1").textContent = facts.name;
  at("cut").hidden = !facts.cut;
  session = await ort.InferenceSession.create("classifier.onnx");
}

// The probability of each class.
async function classify({ rgb, width, height }) {
  const image = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { probabilities } = await session.run({ image });
  return [...probabilities.data];
}

const percent = (share) => `${(100 * share).toFixed(2)}\u00a0%`;

function row(label, probability) {
  const { name, reference } = facts.classes[label];
  const item = document.createElement("li");
  const image = document.createElement("img");
  if (reference) {
    const [file, aspect] = reference;
    image.src = file;
    image.width = Math.round(64 * Math.min(1, aspect));
    image.height = Math.round(64 / Math.max(1, aspect));
  }
  image.alt = "";
  const text = document.createElement("span");
  text.className = "name";
  text.textContent = name;
  const bar = document.createElement("span");
  bar.className = "bar";
  const share = document.createElement("i");
  share.style.width = `${100 * probability}%`;
  bar.append(share);
  text.append(bar);
  const number = document.createElement("span");
  number.className = "share";
  number.textContent = percent(probability);
  item.dataset.label = label;
  item.dataset.probability = probability;
  item.append(image, text, number);
  return item;
}

function show(probabilities, milliseconds) {
  // Stable: of equal probabilities the lower class comes first.
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const [best] = order;
  // What is no number isn't sure.
  const sure = probabilities[best] >= Math.fround(facts.threshold);
  at("classes").replaceChildren(
    ...order.slice(0, SHOWN).map((label) => row(label, probabilities[label])));
  const name = facts.classes[best].name;
  const answer = `${sure ? name : `Unsure, perhaps ${name}`}: ${percent(probabilities[best])}`;
  say(`${answer} (${Math.round(milliseconds)} ms)`, sure ? "sure" : "unsure");
}

async function look(blob, name) {
  say("Looking …");
  at("classes").replaceChildren();
  URL.revokeObjectURL(at("picture").src);
  at("seen").hidden = true;
  let pixels;
  try {
    pixels = await pixelsOf(blob);
  } catch {
    say(`${name} is no picture that this browser can read.`);
    return;
  }
  at("picture").src = URL.createObjectURL(blob);
  at("size").textContent = `${name}, ${pixels.width} × ${pixels.height}`;
  at("seen").hidden = false;
  try {
    const started = performance.now();
    const probabilities = await classify(pixels);
    show(probabilities, performance.now() - started);
  } catch (error) {
    say(`The model failed on ${name}: ${error.message}`);
  }
}

// One picture after another: a session doesn't compute two at a time.
let last = Promise.resolve();
const queue = (blob, name) => {
  last = last.then(() => look(blob, name));
};

// --- Where pictures come from -----------------------------------------------------------

function takeFiles(files) {
  if (files.length > 0) queue(files[0], files[0].name);
}

function listen() {
  at("file").addEventListener("change", ({ target }) => takeFiles(target.files));
  document.addEventListener("paste", (event) => takeFiles(event.clipboardData.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    takeFiles(event.dataTransfer.files);
  });
  at("file").disabled = false;
  // Browsers lend cameras to pages of this computer and to those that come by https.
  if (!navigator.mediaDevices) return;
  at("camera").addEventListener("click", startCamera);
  at("take").addEventListener("click", takePicture);
  at("stop").addEventListener("click", stopCamera);
  at("camera").disabled = false;
}

async function startCamera() {
  try {
    at("video").srcObject = await navigator.mediaDevices
      .getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    say(`There is no camera to use: ${error.message}`);
    return;
  }
  at("live").hidden = false;
  at("camera").disabled = true;
  at("take").focus();
}

// What the frame in the middle shows: half as high as the picture.
async function takePicture() {
  const video = at("video");
  const side = Math.max(1, Math.floor(video.videoHeight / 2));
  const canvas = new OffscreenCanvas(side, side);
  const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, side, side);
  queue(await canvas.convertToBlob(), "From the camera");
}

function stopCamera() {
  for (const track of at("video").srcObject.getTracks()) track.stop();
  at("video").srcObject = null;
  at("live").hidden = true;
  at("camera").disabled = false;
  at("camera").focus();
}

try {
  await load();
  listen();
  say("Ready: choose a picture.");
} catch (error) {
  say(`The page can't work here: ${error.message}`);
}
