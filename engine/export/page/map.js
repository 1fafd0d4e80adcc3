// The data map: confidence over variability, correctness as shape; and the two lists of suspects.
const MAP = { width: 520, height: 360, left: 44, right: 12, top: 12, bottom: 34 };
const MAP_SHAPES = {
  always: (x, y) => `M${x - 3},${y}a3,3 0 1 0 6,0a3,3 0 1 0 -6,0z`,
  sometimes: (x, y) => `M${x},${y - 4}l4,4l-4,4l-4,-4z`,
  never: (x, y) => `M${x - 3},${y - 3}l6,6m0,-6l-6,6`,
};
let map = {};

const correctness = (e) => (arrays.run_correctness[e] >= 1 ? "always" : arrays.run_correctness[e] > 0 ? "sometimes" : "never");
const isMapped = (e) => arrays.run_confidence[e] === arrays.run_confidence[e];

function startMap() {
  if (!report.counted.length) {
    $("map").hidden = true;
    return;
  }
  const counted = report.counted.length;
  say($("map-about"), counted === 1 ? "One epoch is done: how sure the model was of the label then (upwards). Variability needs two." :
    `Over ${counted} snapshots after whole epochs: how sure the model was of the label (upwards), and how much that ` +
    "changed (to the right). Top left is easily learned; right, it wavers; bottom left it never agrees with the label: " +
    "hard, or labelled wrong.");
  let widest = 0.1;
  for (let e = 0; e < N; e++) if (isMapped(e)) widest = Math.max(widest, arrays.run_variability[e]);
  const { width, height, left, right, top, bottom } = MAP;
  map.x = (value) => left + ((width - left - right) * value) / widest;
  map.y = (value) => top + (height - top - bottom) * (1 - value);
  const host = $("map-chart");
  host.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const tick of [0, 0.5, 1]) {
    host.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: map.y(tick), y2: map.y(tick) }),
      svg("text", { x: left - 6, y: map.y(tick) + 4, "text-anchor": "end" }, number(tick)));
  }
  for (const [x, y, anchor, words] of [
    [left, height - 18, "start", "0"], [width - right, height - 18, "end", number(widest)],
    [(left + width) / 2, height - 4, "middle", "variability →"], [left + 6, top + 12, "start", "↑ confidence"],
    [left + 6, height - bottom - 8, "start", "hard to learn, or wrong"], [width - right, map.y(0.5) - 6, "end", "ambiguous"],
  ]) host.append(svg("text", { x, y, "text-anchor": anchor }, words));
  map.rest = svg("path", { class: "rest" });
  map.paths = Object.fromEntries(Object.keys(MAP_SHAPES).map((name) => [name, svg("path", { class: name })]));
  map.ring = svg("circle", { class: "ring", r: 8 });
  host.append(map.rest, ...Object.values(map.paths), map.ring);
  host.addEventListener("click", (event) => {
    const box = host.getBoundingClientRect(), unit = width / box.width;
    const near = nearest((event.clientX - box.left) * unit, (event.clientY - box.top) * unit);
    if (near !== null) change({ example: near });
  });
  for (const name of ["place", "boundary"]) startSuspects(name);
  paintWhenSeen("map", drawMap);
  const rows = table("map-table", mapRows);
  painters.push(() => rows());
}

function nearest(x, y) {
  let found = null, least = 400;
  for (const e of state.shown) {
    if (!isMapped(e)) continue;
    const distance = (map.x(arrays.run_variability[e]) - x) ** 2 + (map.y(arrays.run_confidence[e]) - y) ** 2;
    if (distance < least) [found, least] = [e, distance];
  }
  return found;
}

function drawMap() {
  const place = (e) => [map.x(arrays.run_variability[e]).toFixed(1) * 1, map.y(arrays.run_confidence[e]).toFixed(1) * 1];
  if (map.drawn !== state.shown) {
    map.drawn = state.shown;
    const listed = new Set(state.shown), paths = { always: "", sometimes: "", never: "" };
    let rest = "";
    for (let e = 0; e < N; e++) {
      if (!isMapped(e)) continue;
      const kind = correctness(e), d = MAP_SHAPES[kind](...place(e));
      if (listed.has(e)) paths[kind] += d;
      else rest += d;
    }
    for (const [name, d] of Object.entries(paths)) set(map.paths[name], "d", d);
    set(map.rest, "d", rest);
    const count = (name) => state.shown.filter((e) => correctness(e) === name).length;
    set($("map-chart"), "aria-label", `Data map of ${state.shown.length} examples: ${count("always")} always right, ` +
      `${count("sometimes")} at times, ${count("never")} never. The table below holds the same.`);
  }
  const e = state.example, mapped = isMapped(e);
  set(map.ring, "display", mapped ? "inline" : "none");
  if (mapped) {
    const [x, y] = place(e);
    set(map.ring, "cx", x);
    set(map.ring, "cy", y);
  }
  const first = arrays.run_first_learned[e], known = report.snapshots.find((snapshot) => snapshot.index === first);
  say($("map-readout"), !mapped ? "This example's label is in no window as a whole: it has no place on the map." :
    `confidence ${two(arrays.run_confidence[e])} · variability ${two(arrays.run_variability[e])} · ` +
    `right at ${percent(arrays.run_correctness[e])} of the epochs · forgotten ${arrays.run_forgetting[e]}× · ` +
    (first < 0 ? "never learned" : `learned at ${known ? known.label : "snapshot " + first}`));
  for (const button of document.querySelectorAll(".suspects button")) {
    button.setAttribute("aria-current", Number(button.dataset.example) === e ? "true" : "false");
  }
}

function startSuspects(name) {
  const host = $(`suspects-${name}`), entries = report.suspects[name] || [];
  if (!entries.length) {
    host.replaceWith(el("p", { class: "quiet" }, "No example: the model never preferred another answer of this kind."));
    return;
  }
  for (const [example, words] of entries) {
    const button = el("button", { type: "button", "data-example": example },
      el("bdi", { class: "suspect-question" }, short(report.examples[example].question, 110)),
      el("bdi", { class: "quiet" }, short(words, 260)));
    button.addEventListener("click", () => {
      change({ example });
      $("journey").scrollIntoView({ block: "start" });
      $("journey").focus({ preventScroll: true });
    });
    host.append(el("li", {}, button));
  }
}

function mapRows() {
  const body = state.shown.filter(isMapped).slice(0, SPAN_ROWS).map((e) => [
    short(report.examples[e].question, 120), two(arrays.run_confidence[e]), two(arrays.run_variability[e]),
    percent(arrays.run_correctness[e]), String(arrays.run_forgetting[e]),
  ]);
  return { heads: ["question", "confidence", "variability", "right", "forgotten"], body };
}
