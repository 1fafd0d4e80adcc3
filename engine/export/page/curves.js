// Curves over the steps of training: lines by dash, points by shape, and a guide at the snapshot shown.
const PANEL = { width: 340, height: 170, left: 46, right: 10, top: 12, bottom: 24 };
const SHAPES = [
  (x, y) => svg("circle", { cx: x, cy: y, r: 3 }),
  (x, y) => svg("rect", { x: x - 2.7, y: y - 2.7, width: 5.4, height: 5.4 }),
  (x, y) => svg("path", { d: `M${x},${y - 3.6}l3.4,6h-6.8z` }),
];
const SIGNS = ["●", "■", "▲"];
let guides = [];

function startCurves() {
  let last = 1;
  for (const panel of report.curves) for (const line of panel.lines) last = Math.max(last, ...line.x.slice(-1));
  $("panels").replaceChildren(...report.curves.map((panel) => panelFigure(panel, last)));
  paintWhenSeen("curves", drawGuides);
  const rows = table("curve-table", () => {
    const names = Object.keys(report.metrics).filter((name) => report.snapshots.some((s) => name in s.metrics));
    return {
      heads: ["snapshot", "step", "scored", ...names.map((name) => report.metrics[name][0])],
      body: report.snapshots.map((s) => [s.label, String(s.step), s.sample || "all", ...names.map((name) => (name in s.metrics ? number(s.metrics[name]) : "–"))]),
    };
  });
  painters.push(() => rows());
}

function nice(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * (1 - 1e-9));
}

function panelFigure(panel, last) {
  const { width, height, left, right, top, bottom } = PANEL;
  const values = panel.lines.flatMap((line) => [...line.y, ...(line.sampled ? line.sampled.y : [])]);
  const low = Math.min(0, ...values), high = panel.top ?? nice(values.reduce((a, b) => Math.max(a, b), 0));
  const x = (step) => left + ((width - left - right) * step) / last;
  const y = (value) => top + (height - top - bottom) * (1 - (value - low) / (high - low || 1));
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(panel) });
  for (const tick of [low, (low + high) / 2, high]) {
    chart.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, axisNumber(tick)));
  }
  chart.append(svg("text", { x: left, y: height - 6 }, "0"),
    svg("text", { x: width - right, y: height - 6, "text-anchor": "end" }, `step ${last.toLocaleString("en")}`));
  const guide = svg("line", { class: "guide", y1: top, y2: height - bottom });
  chart.append(guide);
  panel.lines.forEach((line, n) => {
    const group = svg("g", { class: `line-${n % 3}` });
    const path = line.x.map((step, i) => `${i ? "L" : "M"}${x(step).toFixed(1)},${y(line.y[i]).toFixed(1)}`).join("");
    group.append(svg("path", { class: "curve", d: path }));
    if (line.points) line.x.forEach((step, i) => group.append(SHAPES[n % 3](x(step), y(line.y[i]))));
    // Values of a sample: hollow, joined with nothing.
    const sampled = line.sampled || { x: [], y: [] }, points = svg("g", { class: `line-${n % 3} sampled` });
    sampled.x.forEach((step, i) => points.append(SHAPES[n % 3](x(step), y(sampled.y[i]))));
    chart.append(group, points);
  });
  const legend = el("figcaption", {}, el("strong", {}, panel.name), panel.unit ? el("span", { class: "quiet" }, panel.unit) : null);
  const value = panel.lines.map((line, n) => {
    const text = el("span", { class: `num line-${n % 3}` });
    legend.append(el("span", { class: "key" }, el("span", { class: `line-${n % 3}`, "aria-hidden": "true" }, line.points ? SIGNS[n % 3] : "—"), panel.lines.length > 1 ? ` ${line.name} ` : " ", text));
    return text;
  });
  guides.push({ guide, x, value, panel });
  return el("figure", {}, legend, chart);
}

function axisNumber(value) {
  if (Math.abs(value) >= 10000) return `${(value / 1000).toFixed(0)}k`;
  return value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(0).replace("-", "−") : number(value);
}

function summary(panel) {
  const parts = panel.lines.filter((line) => line.y.length).map((line) =>
    `${line.name} from ${number(line.y[0])} to ${number(line.y[line.y.length - 1])}`);
  return `${panel.name}: ${parts.join("; ")}. The table below holds the scores.`;
}

// The value of a line at a step: of the last point at or before it.
function valueAt(line, step) {
  let found = NaN;
  for (let i = 0; i < line.x.length && line.x[i] <= step; i++) found = line.y[i];
  return found;
}

function drawGuides() {
  const step = report.snapshots[state.position].step;
  for (const { guide, x, value, panel } of guides) {
    set(guide, "x1", x(step));
    set(guide, "x2", x(step));
    panel.lines.forEach((line, n) => {
      const sampled = line.sampled ? line.sampled.x.indexOf(step) : -1;
      say(value[n], sampled < 0 ? axisNumber(valueAt(line, step)) : `~ ${axisNumber(line.sampled.y[sampled])}`);
    });
  }
}
