// Puts the page together: header, timeline, keys, what a screen reader hears.
const HEADLINE = ["has_answer_f1", "no_answer_f1", "exact_match", "f1", "start_accuracy", "end_accuracy"];
let playing = 0;

async function start() {
  if (typeof DecompressionStream === "undefined" || !CSS.supports("color", "light-dark(red, red)")) {
    throw new Error("this browser is too old; Chrome 123, Firefox 120, Safari 17.5 or newer can show it.");
  }
  take(await unpack($("data").textContent));
  $("data").remove();
  state.position = S - 1;
  startHeader();
  startTimeline();
  startExamples();
  startJourney();
  startSpans();
  startCurves();
  startMap();
  startFails();
  startConfiguration();
  painters.push(announce);
  document.addEventListener("keydown", key);
  draw();
  document.documentElement.dataset.ready = "true";
}

function startHeader() {
  const facts = Object.fromEntries(report.facts);
  say($("about"), [facts.model, facts.data, `${report.total.toLocaleString("en")} examples`, `${S} snapshots`, facts.begun]
    .filter(Boolean).join(" · "));
  const metrics = report.snapshots[S - 1].metrics;
  const names = HEADLINE.filter((name) => name in metrics).slice(0, 4);
  const cells = names.map((name) => {
    const value = el("dd", {});
    $("headline").append(el("div", {}, el("dt", {}, report.metrics[name][0]), value));
    return [name, value];
  });
  painters.push(() => {
    const now = report.snapshots[state.position].metrics;
    for (const [name, value] of cells) {
      if (!(name in now)) say(value, "–");
      else say(value, report.metrics[name][1] === 1 ? (100 * now[name]).toFixed(1) + " %" : now[name].toFixed(1));
    }
  });
}

function startTimeline() {
  const slider = $("slider");
  slider.max = S - 1;
  slider.addEventListener("input", () => {
    stop();
    change({ position: Number(slider.value) });
  });
  $("before").addEventListener("click", () => flip(state.position - 1));
  $("after").addEventListener("click", () => flip(state.position + 1));
  $("play").addEventListener("click", play);
  startTheme();
  const place = (p) => (S > 1 ? p / (S - 1) : 0.5);
  report.snapshots.forEach((snapshot, p) => {
    const name = snapshot.label.replace(/^(epoch|step) /, (_, word) => (word === "epoch" ? "e" : "s"));
    const tick = el("span", {}, (snapshot.sample ? "~" : "") + name);
    tick.style.left = `${100 * place(p)}%`;
    $("ticks").append(tick);
  });
  const name = HEADLINE.find((each) => each in report.snapshots[S - 1].metrics && each !== "no_answer_f1") || "f1";
  const bars = report.snapshots.map((snapshot, p) => {
    const high = Math.max(2, 30 * Math.min(1, (snapshot.metrics[name] ?? 0) / 100));
    return svg("rect", { x: `${100 * place(p)}%`, width: 8, height: high, y: 30 - high, transform: "translate(-4 0)" });
  });
  $("profile").append(...bars);
  painters.push(() => {
    const snapshot = report.snapshots[state.position];
    slider.value = state.position;
    slider.setAttribute("aria-valuetext", snapshot.label + (snapshot.sample ? `, ${snapshot.sample}` : ""));
    say($("label"), snapshot.label);
    say($("label-detail"), `step ${snapshot.step.toLocaleString("en")} · ${state.position + 1} of ${S}${snapshot.sample ? ` · ~ ${snapshot.sample}` : ""}`);
    $("before").disabled = state.position === 0;
    $("after").disabled = state.position === S - 1;
    bars.forEach((bar, p) => set(bar, "class", p === state.position ? "here" : ""));
    [...$("ticks").children].forEach((tick, p) => tick.classList.toggle("here", p === state.position));
  });
  new ResizeObserver(thinTicks).observe($("ticks"));
}

// Labels under the slider as far as they do not touch; the first and the last stay.
function thinTicks() {
  const ticks = [...$("ticks").children];
  for (const tick of ticks) tick.hidden = false;
  const boxes = ticks.map((tick) => tick.getBoundingClientRect());
  const last = boxes.length - 1;
  let free = -Infinity;
  boxes.forEach((box, n) => {
    ticks[n].hidden = n !== 0 && n !== last && (box.left < free || box.right + 4 > boxes[last].left);
    if (!ticks[n].hidden) free = box.right + 4;
  });
}

function flip(position) {
  stop();
  change({ position: Math.min(S - 1, Math.max(0, position)) });
}

function stop() {
  clearInterval(playing);
  playing = 0;
  $("play").setAttribute("aria-pressed", "false");
  say($("play"), "▶");
}

function play() {
  if (playing) return stop();
  if (state.position === S - 1) change({ position: 0 });
  $("play").setAttribute("aria-pressed", "true");
  say($("play"), "❚❚");
  playing = setInterval(() => {
    if (state.position >= S - 1) return stop();
    change({ position: state.position + 1 });
  }, 700);
}

function startTheme() {
  const root = document.documentElement, button = $("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => {
    say(button, dark() ? "☀" : "☾");
    button.setAttribute("aria-label", dark() ? "Light colours" : "Dark colours");
  };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

function startConfiguration() {
  const rows = (pairs) => pairs.map(([name, value, meaning]) =>
    el("tr", {}, el("th", { scope: "row", title: meaning }, name), el("td", {}, value || "–")));
  $("facts").replaceChildren(...rows(report.facts));
  $("versions").replaceChildren(...rows(report.versions));
  $("options").replaceChildren(...rows(report.options));
  $("notes").replaceChildren(...report.notes.map((note) => el("li", {}, note)));
}

// One sentence for a screen reader, once the picture stands still.
let later = 0, said = "";
function announce() {
  const { example, position } = state, [sign, kind, text] = verdict(example, position);
  let sentence = `${report.snapshots[position].label}: ${kind}, ${text}.`;
  if (state.token >= 0 && laid.tokens) sentence += ` ${$("readout").textContent}`;
  if (sentence === said) return;
  said = sentence;
  clearTimeout(later);
  later = setTimeout(() => say($("live"), sentence), 250);
}

function jump() {
  const window = windowShown();
  const wanted = [...expectedTokens(state.example, window), ...predictedTokens(state.example, window, state.position)]
    .filter((token) => token >= 0);
  const stops = [...new Set(wanted)];
  if (stops.length) moveCursor(stops[(stops.indexOf(state.token) + 1) % stops.length]);
}

function moveCursor(token) {
  token = Math.min(laid.tokens.count - 1, Math.max(0, token));
  const scroller = $("scroller"), x = token * laid.width;
  if (x < scroller.scrollLeft || x + laid.width > scroller.scrollLeft + scroller.clientWidth) {
    scroller.scrollLeft = x - scroller.clientWidth / 2;
  }
  change({ token });
}

const ACTIONS = {
  ArrowLeft: () => flip(state.position - 1),
  ArrowRight: () => flip(state.position + 1),
  h: () => flip(state.position - 1),
  l: () => flip(state.position + 1),
  Home: () => flip(0),
  End: () => flip(S - 1),
  g: () => flip(0),
  G: () => flip(S - 1),
  ArrowUp: () => walk(-1),
  ArrowDown: () => walk(1),
  k: () => walk(-1),
  j: () => walk(1),
  " ": play,
  "[": () => moveCursor(state.token < 0 ? expectedTokens(state.example, windowShown())[0] : state.token - 1),
  "]": () => moveCursor(state.token < 0 ? expectedTokens(state.example, windowShown())[0] : state.token + 1),
  "{": () => moveCursor(state.token - 10),
  "}": () => moveCursor(state.token + 10),
  m: jump,
  w: nextWindow,
  y: () => {
    const next = SCALES[(SCALES.findIndex(([name]) => name === state.scale) + 1) % SCALES.length][0];
    document.querySelector(`#scale input[value="${next}"]`).checked = true;
    change({ scale: next });
  },
  "=": () => {
    $("fixed").checked = !state.fixed;
    change({ fixed: $("fixed").checked });
  },
  s: () => {
    const names = Object.keys(SORTS);
    $("sort").value = names[(names.indexOf(state.sort) + 1) % names.length];
    choose_again({ sort: $("sort").value });
  },
  "/": () => {
    $("list-fold").open = true;
    $("search").focus();
  },
  Escape: () => document.activeElement && document.activeElement.blur(),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target instanceof Element ? event.target : document.body, typing = target.closest("input[type=search], select, textarea");
  if (typing && event.key !== "Escape") return;
  if (target.closest("button, summary, input[type=radio], input[type=checkbox], a") && (event.key === " " || event.key === "Enter")) return;
  if (target.closest("input[type=radio]") && event.key.startsWith("Arrow")) return;
  const action = ACTIONS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

start().catch((error) => {
  $("trouble").hidden = false;
  say($("trouble"), `This report can't be shown: ${error.message}`);
});
