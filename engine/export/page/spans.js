// All listed examples at one snapshot: left the expected span, right the predicted one, at their place in the passage.
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
  paintWhenSeen("spans", drawSpans);
  const rows = table("span-table", spanRows);
  painters.push(() => rows());
}

function drawSpans() {
  const { shown, position } = state, host = $("spans-chart"), room = roomOf($("spans-scroller"));
  const width = Math.max(4, Math.min(20, Math.floor(room / Math.max(1, shown.length))));
  const half = width / 2 - 0.5;
  if (spans.shown !== shown || spans.width !== width) {
    Object.assign(spans, { shown, width });
    set(spans.gold, "d", shown.map((e, n) => spanBox(e, n * width, expectedChars(e), half)).join(""));
    set(host, "width", Math.max(1, shown.length * width));
    set(host, "height", SPANS_HIGH + 10);
  }
  const paths = { right: [], near: [], apart: [] };
  shown.forEach((e, n) => {
    if (!isScored(position, e)) return;
    const kind = isRight(position, e) ? "right" : share("iou", position, e) > 0 ? "near" : "apart";
    paths[kind].push(spanBox(e, n * width + half, predictedChars(e, position), half));
  });
  for (const [name, boxes] of Object.entries(paths)) spans[name].setAttribute("d", boxes.join(""));
  const place = shown.indexOf(state.example);
  set(spans.here, "d", place < 0 ? "" : `M${place * width},0h${width - 1}v${SPANS_HIGH + 10}h${1 - width}z`);
  set(spans.foot, "d", place < 0 ? "" : `M${place * width},${SPANS_HIGH + 8}h${width - 1}v2h${1 - width}z`);
  set(host, "aria-label", `${shown.length} examples at ${report.snapshots[position].label}: ${paths.right.length} right. ` +
    "The table below holds the same.");
  if (place >= 0 && spans.example !== state.example) {
    const scroller = $("spans-scroller"), x = place * width;
    if (x < scroller.scrollLeft || x + width > scroller.scrollLeft + room) scroller.scrollLeft = x - room / 2;
  }
  spans.example = state.example;
}

// An answer as a box, at its place between the first and the last character of its passage; below it for no answer.
function spanBox(example, x, span, wide) {
  const unit = SPANS_HIGH / Math.max(1, lengthOf(passageOf(example)));
  const top = span ? SPANS_HIGH - span[1] * unit : SPANS_HIGH + 3, high = span ? (span[1] - span[0]) * unit : 0;
  return `M${x},${top.toFixed(1)}h${wide}v${Math.max(3, high).toFixed(1)}h${-wide}z`;
}

const SPAN_ROWS = 200;

function spanRows() {
  const p = state.position;
  const body = state.shown.slice(0, SPAN_ROWS).map((e) => {
    const flags = at("flags", p, e), data = report.examples[e], scored = isScored(p, e);
    const mark = (bit) => (!scored ? "–" : flags & bit ? "✓" : "✗"), value = (text) => (scored ? text : "–");
    const found = predictedText(e, p), gold = expectedText(e);
    return [
      short(data.question, 120), gold === null ? "(no answer)" : short(gold, 80), answerText(found, 80),
      mark(START_RIGHT), mark(END_RIGHT), value(two(share("iou", p, e))), mark(RIGHT), value(two(share("f1", p, e))),
      value(two(confidence(p, e))), learned(p, e) ? "↑ learned" : forgotten(p, e) ? "↓ forgotten" : "",
    ];
  });
  if (state.shown.length > SPAN_ROWS) {
    body.push([`and ${state.shown.length - SPAN_ROWS} more: search or filter the list`, ...Array(9).fill("")]);
  }
  return { heads: ["question", "expected", "predicted", "start", "end", "IoU", "EM", "F1", "confidence", "change"], body };
}
