// Two charts, start and end: one bar for one token, all equally wide, and the marker on exactly the expected bar.
const NARROWEST = 3, WIDEST = 14, PLOT = 150, HEAD = 12, FOOT = 58;
const SIDES = ["start", "end"];

function each(count, room) {
  return Math.max(NARROWEST, Math.min(WIDEST, Math.floor(room / Math.max(1, count))));
}

class TokenChart {
  constructor(side) {
    this.side = side;
    this.host = $("bars-" + side);
    this.grid = svg("g", { class: "grid" });
    this.marker = svg("rect", { class: "marker gold-" + side });
    this.bars = svg("g", { class: "heap " + side });
    this.zero = svg("line", { class: "zero" });
    this.cursor = svg("rect", { class: "cursor" });
    this.band = svg("g", { class: "band" });
    this.expected = svg("text", { class: "gold-" + side });
    this.predicted = svg("text", { class: "found" });
    this.rects = [];
    this.host.replaceChildren(
      this.grid, this.marker, this.bars, this.cursor, this.zero, this.band, this.expected, this.predicted);
  }

  // A bar for each token of a window, `width` pixels wide.
  lay(tokens, width) {
    this.width = width;
    this.count = tokens.count;
    this.host.setAttribute("width", tokens.count * width);
    this.host.setAttribute("height", HEAD + PLOT + FOOT);
    const gap = width >= 5 ? 1 : 0;
    this.rects = Array.from({ length: tokens.count }, (_, i) =>
      svg("rect", { x: i * width, width: width - gap, "data-token": i }));
    this.bars.replaceChildren(...this.rects);
    for (const rect of [this.marker, this.cursor]) rect.setAttribute("width", width - gap);
    for (const [name, value] of [["x1", 0], ["x2", tokens.count * width]]) this.zero.setAttribute(name, value);
    const bands = [], names = ["", "question", "passage"];
    for (let i = 0, begin = 0; i < tokens.count; i = begin) {
      while (begin < tokens.count && tokens.kinds[begin] === tokens.kinds[i]) begin++;
      const y = HEAD + PLOT + 5;
      bands.push(svg("rect", { class: "kind-" + tokens.kinds[i], x: i * width, y, width: (begin - i) * width, height: 3 }));
      if ((begin - i) * width > 60) {
        bands.push(svg("text", { x: i * width + 2, y: y + 14 }, names[tokens.kinds[i]]));
      }
    }
    this.band.replaceChildren(...bands);
  }

  draw(values, low, high, ticks, expected, predicted, cursor, texts) {
    const reach = Math.max(1e-9, high - low);
    const y = (value) => HEAD + PLOT * (1 - (Math.min(high, Math.max(low, value)) - low) / reach);
    const base = y(0);
    this.rects.forEach((rect, i) => {
      const value = values[i] === values[i] ? values[i] : 0, top = y(value);
      set(rect, "y", Math.min(top, base).toFixed(1));
      set(rect, "height", Math.abs(base - top).toFixed(1));
    });
    set(this.zero, "y1", base);
    set(this.zero, "y2", base);
    this.grid.replaceChildren(...ticks.map((tick) =>
      svg("line", { x1: 0, x2: this.count * this.width, y1: y(tick), y2: y(tick) })));
    this.place(this.marker, expected, 0, HEAD + PLOT + 4);
    this.place(this.cursor, cursor, HEAD, PLOT);
    const same = expected >= 0 && expected === predicted;
    this.word(this.expected, expected, HEAD + PLOT + 36, same ? "◆" : "▲", texts);
    this.word(this.predicted, same ? -1 : predicted, HEAD + PLOT + 52, "▼", texts);
    const name = (token) => (token < 0 ? "in another window" : "token " + token + ", " + quoted(texts[token]));
    set(this.host, "aria-label", `Scores of the answer's ${this.side}: ${this.count} tokens. Expected: ` +
      `${name(expected)}. Predicted: ${name(predicted)}.`);
  }

  place(rect, token, y, height) {
    set(rect, "display", token < 0 ? "none" : "inline");
    if (token < 0) return;
    set(rect, "x", token * this.width);
    set(rect, "y", y);
    set(rect, "height", height);
  }

  // A sign under a bar with the token's text beside it, on the side where there is room.
  word(element, token, y, sign, texts) {
    if (token < 0) return say(element, "");
    const x = token * this.width + this.width / 2, left = x < (this.count * this.width) / 2;
    set(element, "x", x + (left ? -4 : 4));
    set(element, "y", y);
    set(element, "text-anchor", left ? "start" : "end");
    const text = token + " " + short(texts[token], 24);
    say(element, left ? sign + " " + text : text + " " + sign);
  }
}

// Lowest and highest value of the scale, and where its lines stand.
function limits(window, values) {
  let low = Infinity, high = -Infinity;
  if (state.scale === "probability") {
    high = state.fixed ? 1 : Math.max(0.01, ...values.map((side) => side.reduce((a, b) => Math.max(a, b), 0)));
    return { low: 0, high, ticks: [0, high / 2, high] };
  }
  let widest = 0;
  for (let p = state.fixed ? 0 : state.position; p < (state.fixed ? S : state.position + 1); p++) {
    if (!isScored(p, state.example)) continue;
    for (const side of SIDES) {
      const least = arrays[side + "_low"][p * W + window], most = arrays[side + "_high"][p * W + window];
      low = Math.min(low, least);
      high = Math.max(high, most);
      widest = Math.max(widest, most - least);
    }
  }
  if (low === Infinity) low = high = 0;
  if (state.scale === "shifted") {
    const top = Math.max(1, widest);
    return { low: 0, high: top, ticks: [0, top / 2, top] };
  }
  low = Math.min(0, Math.floor(low));
  high = Math.max(1, Math.ceil(high));
  return { low, high, ticks: [low, 0, high].filter((tick, i, all) => all.indexOf(tick) === i) };
}

function scaled(values, tokens) {
  if (state.scale === "probability") return softmax(values, tokens.choosable);
  if (state.scale === "logit") return values;
  let least = Infinity;
  for (const value of values) if (value < least) least = value;
  if (least === Infinity) least = 0;
  return values.map((value) => value - least);
}

function drawAxis(scale) {
  const axis = $("axis"), height = HEAD + PLOT + FOOT;
  axis.setAttribute("width", 44);
  axis.setAttribute("height", 2 * height);
  const y = (value) => HEAD + PLOT * (1 - (value - scale.low) / Math.max(1e-9, scale.high - scale.low));
  const labels = SIDES.flatMap((side, n) => [
    svg("text", { class: "side " + side, x: 40, y: n * height + HEAD + PLOT + 20, "text-anchor": "end" }, side),
    ...scale.ticks.map((tick) =>
      svg("text", { x: 40, y: n * height + y(tick) + 4, "text-anchor": "end" }, number(tick))),
  ]);
  axis.replaceChildren(...labels);
}
