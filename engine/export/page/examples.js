// The list of examples: search, filter, sort. Only the rows in view are elements.
const ROW = 58, SPARE = 6;

function startExamples() {
  for (const [id, choices, key] of [["filter", FILTERS, "filter"], ["sort", SORTS, "sort"]]) {
    const select = $(id);
    for (const [value, [text]] of Object.entries(choices)) {
      if (key === "filter" && value !== "all" && !someMatch(value)) continue;
      select.append(el("option", { value }, text));
    }
    select.addEventListener("change", () => choose_again({ [key]: select.value }));
  }
  $("search").addEventListener("input", (event) => choose_again({ query: event.target.value }));
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
  if (!["lost", "never", "seen", "unseen", "nothing"].includes(name)) return true;
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
  change({ example: shown[place < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, place + by))] });
}

const drawn = { example: -1 };

function drawList() {
  const count = state.shown.length === N && N === report.total ? `${N}` : `${state.shown.length} of ${N}`;
  say($("count"), N < report.total ? `${count} (of ${report.total} in the run)` : count);
  if (drawn.example !== state.example) {
    drawn.example = state.example;
    const host = $("rows"), place = state.shown.indexOf(state.example);
    if (place >= 0 && (place * ROW < host.scrollTop || (place + 1) * ROW > host.scrollTop + host.clientHeight)) {
      host.scrollTop = place * ROW - host.clientHeight / 2 + ROW / 2;
    }
  }
  drawRows();
}

function drawRows() {
  const host = $("rows"), { shown, example } = state;
  const first = Math.max(0, Math.floor(host.scrollTop / ROW) - SPARE);
  const last = Math.min(shown.length, Math.ceil((host.scrollTop + host.clientHeight) / ROW) + SPARE);
  const places = new Set(Array.from({ length: Math.max(0, last - first) }, (_, n) => first + n));
  const chosen = shown.indexOf(example);
  if (chosen >= 0) places.add(chosen); // what aria-activedescendant names must be there
  const rows = [...places].sort((a, b) => a - b).map((place) => row(shown[place], place));
  const space = el("div", { class: "space" });
  space.style.height = `${shown.length * ROW}px`;
  for (const each of rows) space.append(each);
  if (!shown.length) space.append(el("p", { class: "quiet none" }, "No example matches."));
  host.replaceChildren(space);
  if (chosen >= 0) host.setAttribute("aria-activedescendant", `row-${example}`);
  else host.removeAttribute("aria-activedescendant");
}

function row(example, place) {
  const right = isRight(state.position, example), data = report.examples[example];
  const sign = learned(state.position, example) ? "↑" : forgotten(state.position, example) ? "↓" : "";
  const element = el("div",
    {
      class: "row", role: "option", id: `row-${example}`, "data-example": example,
      "aria-selected": example === state.example ? "true" : "false",
      "aria-setsize": state.shown.length, "aria-posinset": place + 1,
    },
    el("span", { class: "sign " + (right ? "right" : "wrong") }, (right ? "✓" : "✗") + sign),
    el("span", { class: "row-question", dir: "auto" }, short(data.question, 140)),
    strip(example),
    el("span", { class: "row-id quiet" }, short(data.id, 40)));
  element.style.transform = `translateY(${place * ROW}px)`;
  return element;
}

// The example's whole journey: a full square for each snapshot it is right at, a hollow one for the others.
function strip(example) {
  const size = 7, step = 10;
  let full = "", hollow = "";
  for (let p = 0; p < S; p++) {
    if (isRight(p, example)) full += `M${p * step},1h${size}v${size}h-${size}z`;
    else hollow += `M${p * step + 0.5},1.5h${size - 1}v${size - 1}h-${size - 1}z`;
  }
  const rights = report.snapshots.filter((_, p) => isRight(p, example)).length;
  return svg("svg", { class: "strip", width: S * step + 2, height: 11, role: "img", "aria-label": `right at ${rights} of ${S} snapshots` },
    svg("path", { class: "hollow", d: hollow }), svg("path", { class: "full", d: full }),
    svg("line", { class: "here", x1: state.position * step, x2: state.position * step + size, y1: 10.5, y2: 10.5 }));
}
