// Elements by name. Text from outside is only ever a text node or an attribute's value.
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) element.append(child);
  return element;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

function set(element, name, value) {
  const text = String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const short = (text, most) => (Array.from(text).length > most ? Array.from(text).slice(0, most - 1).join("") + "…" : text);
const quoted = (text) => (text === null ? "no answer" : "“" + text + "”");
const percent = (value) => (Number.isNaN(value) ? "–" : (100 * value).toFixed(value < 0.0995 ? 1 : 0) + " %");

function number(value) {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 100 || value === Math.round(value)) return value.toFixed(0).replace("-", "−");
  return value.toFixed(2).replace("-", "−");
}

const two = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : "–");

// A table, built when its fold is opened, and again when `draw` is called while it is open.
function table(id, rows) {
  const fold = $(id), host = fold.querySelector(".scroll");
  const draw = () => {
    if (!fold.open) return;
    const { heads, body } = rows();
    const top = el("tr", {}, ...heads.map((text) => el("th", { scope: "col" }, text)));
    const lines = body.map((cells) =>
      el("tr", {}, ...cells.map((cell, column) => (column ? el("td", { dir: "auto" }, cell) : el("th", { scope: "row" }, cell)))));
    host.replaceChildren(el("table", { class: "plain data" }, el("thead", {}, top), el("tbody", {}, ...lines)));
  };
  fold.addEventListener("toggle", draw);
  return draw;
}
