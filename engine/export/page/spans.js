// All listed examples at one snapshot: left the expected span, right the predicted one, over the passage's characters.
const SPANS_HIGH = 200;
let spans = {};

function startSpans() {
  const host = $("spans-chart");
  spans = Object.fromEntries(["here", "foot", "gold", "right", "near", "apart"].map((name) => [name, svg("path", { class: name })]));
  const stripes = svg("pattern", { id: "stripes", width: 4, height: 4, patternUnits: "userSpaceOnUse" },
    svg("rect", { width: 4, height: 2 }));
  host.append(svg("defs", {}, stripes), ...Object.values(spans));
  host.addEventListener("click", (event) => {
    const place = Math.floor((event.clientX - host.getBoundingClientRect().left) / spans.width);
    if (state.shown[place] !== undefined) change({ example: state.shown[place] });
  });
  painters.push(drawSpans);
  const rows = table("span-table", spanRows);
  painters.push(() => rows());
}

function drawSpans() {
  const { shown, position } = state, host = $("spans-chart"), room = $("spans-scroller").clientWidth;
  const width = Math.max(4, Math.min(20, Math.floor(room / Math.max(1, shown.length))));
  spans.width = width;
  let longest = 1;
  for (const e of shown) longest = Math.max(longest, passageOf(e).length);
  const half = width / 2 - 0.5, paths = { gold: "", right: "", near: "", apart: "" };
  const box = (x, span, wide) => {
    const top = SPANS_HIGH * (1 - span[1] / longest), high = Math.max(2, (SPANS_HIGH * (span[1] - span[0])) / longest);
    return `M${x},${top.toFixed(1)}h${wide}v${high.toFixed(1)}h${-wide}z`;
  };
  const nothing = [-longest * 0.03, -longest * 0.01];
  let right = 0;
  shown.forEach((e, n) => {
    const gold = expectedChars(e) || nothing, found = predictedChars(e, position) || nothing;
    paths.gold += box(n * width, gold, half);
    const kind = isRight(position, e) ? "right" : share("iou", position, e) > 0 ? "near" : "apart";
    right += kind === "right";
    paths[kind] += box(n * width + half, found, half);
  });
  for (const [name, path] of Object.entries(paths)) set(spans[name], "d", path);
  const place = shown.indexOf(state.example);
  set(spans.here, "d", place < 0 ? "" : `M${place * width},0h${width - 1}v${SPANS_HIGH + 10}h${1 - width}z`);
  set(spans.foot, "d", place < 0 ? "" : `M${place * width},${SPANS_HIGH + 8}h${width - 1}v2h${1 - width}z`);
  set(host, "width", Math.max(1, shown.length * width));
  set(host, "height", SPANS_HIGH + 10);
  set(host, "aria-label", `${shown.length} examples at ${report.snapshots[position].label}: ${right} right. The table below holds the same.`);
  const scroller = $("spans-scroller"), x = place * width;
  if (place >= 0 && spans.example !== state.example && (x < scroller.scrollLeft || x + width > scroller.scrollLeft + room)) {
    scroller.scrollLeft = x - room / 2;
  }
  spans.example = state.example;
}

const SPAN_ROWS = 200;

function spanRows() {
  const p = state.position;
  const body = state.shown.slice(0, SPAN_ROWS).map((e) => {
    const flags = at("flags", p, e), data = report.examples[e], mark = (bit) => (flags & bit ? "✓" : "✗");
    const found = predictedText(e, p), gold = expectedText(e);
    return [
      short(data.question, 120), gold === null ? "(no answer)" : short(gold, 80), found === null ? "(no answer)" : short(found, 80),
      mark(START_RIGHT), mark(END_RIGHT), number(share("iou", p, e)), mark(RIGHT), number(share("f1", p, e)),
      number(confidence(p, e)), learned(p, e) ? "↑ learned" : forgotten(p, e) ? "↓ forgotten" : "",
    ];
  });
  if (state.shown.length > SPAN_ROWS) {
    body.push([`and ${state.shown.length - SPAN_ROWS} more: search or filter the list`, ...Array(9).fill("")]);
  }
  return { heads: ["question", "expected", "predicted", "start", "end", "IoU", "EM", "F1", "confidence", "change"], body };
}
