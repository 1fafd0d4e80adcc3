// The list of examples: search, filter, sort. Only the rows in view are elements.
const ROW = 58, SPARE = 6;

function startExamples() {
  for (const [id, choices, key] of [["filter", FILTERS, "filter"], ["sort", SORTS, "sort"]]) {
    const select = $(id);
    for (const [value, [text]] of Object.entries(choices)) {
      if (key === "filter" && value !== "all" && !someMatch(value)) continue;
      if (value === "scored" && !report.snapshots.some((snapshot) => snapshot.sample)) continue;
      select.append(el("option", { value }, text));
    }
    select.addEventListener("change", () => choose_again({ [key]: select.value }));
  }
  $("search").addEventListener("input", (event) => choose_again({ query: event.target.value }));
  $("group-clear").addEventListener("click", () => showGroup(null, ""));
  $("rows").addEventListener("scroll", () => requestAnimationFrame(drawRows));
  $("rows").addEventListener("click", (event) => {
    const row = event.target.closest("[data-example]");
    if (row) change({ example: Number(row.dataset.example) });
  });
  $("previous").addEventListener("click", () => walk(-1));
  $("next").addEventListener("click", () => walk(1));
  const narrow = matchMedia("(max-width: 60rem)");
  const fold = () => ($("list-fold").open = !narrow.matches);
  narrow.addEventListener("change", fold);
  fold();
  $("list-fold").addEventListener("toggle", () => drawRows());
  choose();
  painters.push(drawList);
}

// Whether a filter that does not depend on the snapshot leaves anything at all.
function someMatch(name) {
  if (!["lost", "never", "seen", "unseen", "suspect", "nothing"].includes(name)) return true;
  for (let e = 0; e < N; e++) if (FILTERS[name][1](e, 0)) return true;
  return false;
}

function choose_again(values) {
  Object.assign(state, values);
  choose();
  if (state.shown.length && !state.shown.includes(state.example)) change({ example: state.shown[0] });
  $("rows").scrollTop = 0;
  drawn.example = -1;
  change({});
}

function walk(by) {
  const { shown, example } = state;
  if (!shown.length) return;
  const place = shown.indexOf(example);
  if (place < 0) return change({ example: neighbour(shown, example, by) });
  change({ example: shown[Math.min(shown.length - 1, Math.max(0, place + by))] });
}

// From an example that the list no longer shows, the next one in the order of the data, or the one before.
function neighbour(shown, example, by) {
  const beyond = shown.filter((e) => (by > 0 ? e > example : e < example));
  if (!beyond.length) return shown[0];
  return beyond.reduce((a, b) => ((by > 0 ? b < a : b > a) ? b : a));
}

const drawn = { example: -1 };

function drawList() {
  const count = state.shown.length === N && N === report.total ? `${N}` : `${state.shown.length} of ${N}`;
  say($("count"), N < report.total ? `${count} (of ${report.total} in the run)` : count);
  if (drawn.example !== state.example) {
    drawn.example = state.example;
    const host = $("rows"), place = state.shown.indexOf(state.example);
    const from = host.scrollTop, room = roomOf(host, "clientHeight");
    if (place >= 0 && (place * ROW < from || (place + 1) * ROW > from + room)) {
      drawRows(); // the list may be a new one, of another height
      host.scrollTop = place * ROW - room / 2 + ROW / 2;
    }
  }
  drawRows();
}

// Rows are kept while the list stays the same: a flip changes their signs, and the line under the snapshot shown.
let kept = new Map(), keptOf = null, space = null;

function drawRows() {
  const host = $("rows"), { shown, example } = state;
  if (keptOf !== shown) {
    keptOf = shown;
    kept = new Map();
    space = el("div", { class: "space" });
    space.style.height = `${shown.length * ROW}px`;
    if (!shown.length) space.append(el("p", { class: "quiet none" }, "No example matches."));
    host.replaceChildren(space);
  }
  const from = host.scrollTop, room = roomOf(host, "clientHeight");
  const first = Math.max(0, Math.floor(from / ROW) - SPARE);
  const last = Math.min(shown.length, Math.ceil((from + room) / ROW) + SPARE);
  const places = new Set(Array.from({ length: Math.max(0, last - first) }, (_, n) => first + n));
  const chosen = shown.indexOf(example);
  if (chosen >= 0) places.add(chosen); // what aria-activedescendant names must be there
  for (const [place, row] of kept) {
    if (places.has(place)) continue;
    row.element.remove();
    kept.delete(place);
  }
  for (const place of [...places].sort((a, b) => a - b)) {
    if (!kept.has(place)) kept.set(place, makeRow(shown[place], place));
    drawRow(shown[place], kept.get(place));
  }
  if (chosen >= 0) set(host, "aria-activedescendant", `row-${example}`);
  else host.removeAttribute("aria-activedescendant");
}

function makeRow(example, place) {
  const data = report.examples[example], sign = el("span", {}), journey = strip(example);
  const element = el("div",
    {
      class: "row", role: "option", id: `row-${example}`, "data-example": example,
      "aria-setsize": state.shown.length, "aria-posinset": place + 1,
    },
    sign, el("span", { class: "row-question", dir: "auto" }, short(data.question, 140)),
    journey.element, el("span", { class: "row-id quiet" }, short(data.id, 40)));
  element.style.transform = `translateY(${place * ROW}px)`;
  space.append(element);
  return { element, sign, here: journey.here };
}

function drawRow(example, row) {
  const { position } = state, right = isRight(position, example);
  const change = learned(position, example) ? "↑" : forgotten(position, example) ? "↓" : "";
  set(row.element, "aria-selected", example === state.example);
  const scored = isScored(position, example);
  set(row.sign, "class", `sign ${right ? "right" : scored ? "wrong" : "quiet"}`);
  say(row.sign, scored ? (right ? "✓" : "✗") + change : "–");
  set(row.here, "transform", `translate(${position * SQUARE} 0)`);
}

// The example's whole journey: a full square for each snapshot it is right at, a hollow one for the others, none where
// it is not scored.
const SQUARE = 10;

function strip(example) {
  const size = 7;
  let full = "", hollow = "", rights = 0, scored = 0;
  for (let p = 0; p < S; p++) {
    if (!isScored(p, example)) continue;
    const right = isRight(p, example);
    rights += right;
    scored++;
    if (right) full += `M${p * SQUARE},1h${size}v${size}h-${size}z`;
    else hollow += `M${p * SQUARE + 0.5},1.5h${size - 1}v${size - 1}h-${size - 1}z`;
  }
  const here = svg("line", { class: "here", x1: 0, x2: size, y1: 10.5, y2: 10.5 });
  const element = svg("svg",
    { class: "strip", width: S * SQUARE + 2, height: 11, role: "img", "aria-label": `right at ${rights} of ${scored} snapshots` },
    svg("path", { class: "hollow", d: hollow }), svg("path", { class: "full", d: full }), here);
  return { element, here };
}
