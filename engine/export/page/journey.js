// One example at one snapshot: charts, the token under the cursor, verdict, what else the model considers.
let charts, laid = {};

function startJourney() {
  charts = SIDES.map((side) => new TokenChart(side));
  const scroller = $("scroller");
  const token = (event) => {
    const place = event.target.closest("svg").getBoundingClientRect();
    return Math.min(laid.tokens.count - 1, Math.max(0, Math.floor((event.clientX - place.left) / laid.width)));
  };
  scroller.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && event.target.closest("svg")) change({ token: token(event) });
  });
  scroller.addEventListener("click", (event) => event.target.closest("svg") && change({ token: token(event) }));
  for (const [value, text] of SCALES) {
    const choice = el("input", { type: "radio", name: "scale", value, checked: value === state.scale });
    choice.addEventListener("change", () => change({ scale: value }));
    $("scale").append(el("label", {}, choice, el("span", {}, text)));
  }
  $("fixed").addEventListener("change", (event) => change({ fixed: event.target.checked }));
  $("window").addEventListener("click", nextWindow);
  painters.push(drawJourney);
  drawTokens = table("token-table", tokenRows);
  painters.push(() => drawTokens());
}

let drawTokens = () => {};

function nextWindow() {
  const now = windowShown() - arrays.window_offset[state.example];
  change({ window: (now + 1) % windowCount(state.example), token: -1 });
}

function drawJourney() {
  const { example, position } = state, window = windowShown();
  const room = roomOf($("scroller"));
  if (laid.window !== window || laid.room !== room) {
    const tokens = laid.window === window ? laid.tokens : tokensOf(example, window);
    const width = each(tokens.count, room);
    for (const chart of charts) chart.lay(tokens, width);
    laid = { window, room, tokens, width, moved: true };
  }
  const tokens = laid.tokens;
  const raw = SIDES.map((side) => logits(window, position, side));
  $("scroller").classList.toggle("unscored", !isScored(position, example));
  const values = raw.map((side) => scaled(side, tokens)), scale = limits(window, values);
  const expected = expectedTokens(example, window), predicted = predictedTokens(example, window, position);
  charts.forEach((chart, n) =>
    chart.draw(values[n], scale.low, scale.high, scale.ticks, expected[n], predicted[n], state.token, tokens.texts));
  drawAxis(scale);
  if (laid.moved) keepInView([...expected, ...predicted]);
  laid.moved = false;
  laid.raw = raw;
  drawWords(example, position, window);
  drawReadout();
}

// Scroll the charts so that the expected tokens are seen, and the predicted ones as far as they fit.
function keepInView(wanted) {
  const scroller = $("scroller"), room = laid.room / laid.width;
  const places = wanted.filter((token) => token >= 0);
  while (places.length && Math.max(...places) - Math.min(...places) >= room) places.pop();
  if (!places.length) return;
  scroller.scrollLeft = ((Math.min(...places) + Math.max(...places) + 1 - room) / 2) * laid.width;
}

function verdict(example, position) {
  if (!isScored(position, example)) {
    return ["–", "unknown", `not scored at this snapshot (${report.snapshots[position].sample})`];
  }
  const flags = at("flags", position, example), found = predictedText(example, position), gold = expectedText(example);
  if (flags & RIGHT) return ["✓", "right", `answers ${quoted(found)}`];
  if (gold === null) return ["✗", "wrong", `answers ${quoted(found)}; the passage holds no answer`];
  if (found === null) return ["✗", "wrong", `answers nothing; expected ${quoted(gold)}`];
  const overlap = share("iou", position, example);
  const how = overlap > 0 ? `overlaps by ${percent(overlap)}` : "elsewhere in the passage";
  return ["✗", "wrong", `answers ${quoted(found)}, ${how}; expected ${quoted(gold)}`];
}

function drawWords(example, position, window) {
  const data = report.examples[example], count = windowCount(example);
  const nth = window - arrays.window_offset[example] + 1;
  say($("where"), [
    `example ${data.number + 1} of ${report.total}`, data.id, data.title,
    data.seen ? "passage seen in training" : "passage never seen",
  ].filter(Boolean).join(" · "));
  say($("question"), data.question);
  const [sign, kind, text] = verdict(example, position);
  const since = learned(position, example) ? " ↑ just learned" : forgotten(position, example) ? " ↓ just forgotten" : "";
  $("verdict").replaceChildren(
    el("span", { class: "badge " + kind }, `${sign} ${kind}${since}`), " ", el("bdi", {}, text),
    el("span", { class: "quiet" }, !isScored(position, example) ? "" : ` · F1 ${two(share("f1", position, example))} · confidence ${two(confidence(position, example))}`));
  $("window").hidden = count < 2;
  say($("window"), `window ${nth}/${count}`);
  drawPassage(example, position);
  $("answers").replaceChildren(...nBest(example, position, 5).map((span) =>
    el("tr", { class: span.exact ? "first" : null },
      el("td", { class: "num" }, percent(span.share)), el("td", { class: "num" }, two(span.score)),
      el("td", { dir: "auto" }, span.text === null ? "(no answer)" : span.text))));
  $("history").replaceChildren(...report.snapshots.map((snapshot, p) => {
    const found = predictedText(example, p);
    return el("tr", { class: p === position ? "first" : null, "aria-current": p === position ? "true" : null },
      el("td", {}, !isScored(p, example) ? "–" : isRight(p, example) ? "✓" : "✗"), el("td", { class: "when" }, snapshot.label),
      el("td", { class: "num" }, isScored(p, example) ? two(confidence(p, example)) : ""),
      el("td", { dir: "auto" }, answerText(found, 90)));
  }));
}

function drawReadout() {
  const token = state.token, host = $("readout");
  if (token < 0 || token >= laid.tokens.count) {
    return say(host, "Point at a bar, or press [ or ], for a token's scores; m jumps to the expected one.");
  }
  if (!isScored(state.position, state.example)) return say(host, "Not scored at this snapshot.");
  const parts = SIDES.map((side, n) => {
    const values = laid.raw[n], value = values[token];
    let rank = 1;
    for (const other of values) if (other > value) rank++;
    return `${side} ${two(value)}, p ${softmax(values, laid.tokens.choosable)[token].toFixed(3)}, rank ${rank}`;
  });
  say(host, `token ${token} “${laid.tokens.texts[token]}” · ${parts.join(" · ")}`);
}

function tokenRows() {
  const { tokens, raw } = laid, window = windowShown();
  const shares = raw.map((side) => softmax(side, tokens.choosable));
  const expected = expectedTokens(state.example, window);
  const predicted = predictedTokens(state.example, window, state.position);
  const marks = (i) => SIDES.flatMap((side, n) => [
    expected[n] === i ? "expected " + side : null, predicted[n] === i ? "predicted " + side : null,
  ]).filter(Boolean).join(", ");
  const body = tokens.texts.map((text, i) => [
    String(i), text, ["special", "question", "passage"][tokens.kinds[i]], two(raw[0][i]), shares[0][i].toFixed(3),
    two(raw[1][i]), shares[1][i].toFixed(3), marks(i),
  ]);
  return { heads: ["token", "text", "of", "start", "p start", "end", "p end", "marks"], body };
}
