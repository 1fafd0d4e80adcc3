// What is looked at, and who draws it. Every change goes through `change`, and then everything is drawn once.
const SCALES = [
  ["shifted", "logit − minimum"],
  ["logit", "logits"],
  ["probability", "probabilities"],
];
const state = {
  example: 0, position: 0, window: null, token: -1, scale: "shifted", fixed: true,
  query: "", filter: "all", sort: "data", group: null, shown: [],
};
const painters = [];
let asked = false;

function change(values) {
  const { example, position } = state;
  Object.assign(state, values);
  if (state.position !== position && dependsOnSnapshot()) choose();
  if (state.example !== example) Object.assign(state, { window: null, token: -1 }, values);
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  for (const paint of painters) paint();
}

// A section's painter: it draws once at first, then while the section is near the window or printed, else when it
// comes there.
function paintWhenSeen(section, paint) {
  let seen = true, stale = true;
  const refresh = () => {
    if (seen && stale) {
      stale = false;
      paint();
    }
  };
  painters.push(() => {
    stale = true;
    refresh();
  });
  const see = (now) => {
    seen = now;
    refresh();
  };
  new IntersectionObserver((entries) => see(entries[entries.length - 1].isIntersecting), { rootMargin: "200px" })
    .observe($(section));
  addEventListener("beforeprint", () => see(true));
}

// The width (or height) of an element, asked only when it changed: asking makes the browser lay out the page.
const rooms = new Map();
function roomOf(element, of = "clientWidth") {
  if (!rooms.has(element)) {
    rooms.set(element, element[of]);
    new ResizeObserver(() => {
      if (rooms.get(element) === element[of]) return;
      rooms.set(element, element[of]);
      change({});
    }).observe(element);
  }
  return rooms.get(element);
}

// The window looked at: the chosen one, else that of the expected answer, else of the predicted one, else the first.
function windowShown() {
  const first = arrays.window_offset[state.example], count = windowCount(state.example);
  if (state.window !== null) return first + Math.min(state.window, count - 1);
  for (let window = first; window < first + count; window++) if (arrays.gold_start[window] >= 0) return window;
  return first + Math.max(0, at("pred_window", state.position, state.example));
}

// -- which examples are listed, and in which order -----------------------------------------------------------------
const FILTERS = {
  all: ["all", () => true],
  right: ["right", (e, p) => isRight(p, e)],
  wrong: ["wrong", (e, p) => isScored(p, e) && !isRight(p, e)],
  scored: ["scored at this snapshot", (e, p) => isScored(p, e)],
  learned: ["just learned ↑", (e, p) => learned(p, e)],
  forgotten: ["just forgotten ↓", (e, p) => forgotten(p, e)],
  lost: ["ever forgotten", (e) => forgettings(e) > 0],
  never: ["never right", (e) => firstRight(e) === Infinity],
  place: ["start or end off", (e, p) => isScored(p, e) && (at("flags", p, e) & (START_RIGHT | END_RIGHT)) !== (START_RIGHT | END_RIGHT)],
  seen: ["passages seen in training", (e) => report.examples[e].seen],
  unseen: ["passages never seen", (e) => !report.examples[e].seen],
  suspect: ["suspect labels", (e) => suspicion(e) < Infinity],
  nothing: ["without an answer", (e) => isImpossible(e)],
};
const SORTS = {
  data: ["as in the data", (e) => e],
  unsure: ["least confident first", (e, p) => confidence(p, e)],
  sure: ["most confident first", (e, p) => -confidence(p, e)],
  overlap: ["least overlap first", (e, p) => share("iou", p, e)],
  late: ["learned last first", (e) => -Math.min(firstRight(e), S)],
  suspect: ["most suspicious first", (e) => suspicion(e)],
  variable: ["most variable first", (e) => -(arrays.run_variability ? arrays.run_variability[e] || 0 : 0)],
  lost: ["most often forgotten first", (e) => -forgettings(e)],
};

function firstRight(example) {
  for (let position = 0; position < S; position++) if (isRight(position, example)) return position;
  return Infinity;
}

function forgettings(example) {
  let count = 0;
  for (let position = 1; position < S; position++) if (forgotten(position, example)) count++;
  return count;
}

// The place of an example in the lists of suspects, the better one; Infinity for none.
let suspicions = null;
function suspicion(example) {
  if (!suspicions) {
    suspicions = new Map();
    for (const list of Object.values(report.suspects)) {
      list.forEach(([e], n) => suspicions.set(e, Math.min(n, suspicions.get(e) ?? Infinity)));
    }
  }
  return suspicions.get(example) ?? Infinity;
}

let haystacks = null;
function matches(example, words) {
  haystacks ||= report.examples.map((e) =>
    [e.question, e.answers.map((answer) => answer[0]).join(" "), e.id, e.title].join("\n").toLowerCase());
  return words.every((word) => haystacks[example].includes(word));
}

// Whether another snapshot may show other examples, or another order: then filter or sort take it as second argument.
const dependsOnSnapshot = () => FILTERS[state.filter][1].length > 1 || SORTS[state.sort][1].length > 1;

// Examples that search, filter and group leave, in order.
function choose() {
  const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
  const keep = FILTERS[state.filter][1], key = SORTS[state.sort][1], p = state.position;
  const shown = [];
  for (const e of state.group === null ? report.examples.keys() : report.groups[state.group].members) {
    if (keep(e, p) && (!words.length || matches(e, words))) shown.push(e);
  }
  if (state.sort !== "data") {
    const keys = new Map(shown.map((e) => [e, key(e, p)]));
    shown.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : keys.get(a) - keys.get(b)));
  }
  state.shown = shown;
}
