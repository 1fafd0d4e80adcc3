// The payload: a header (JSON) and typed arrays. Texts in it are from outside: they reach the page by textContent.
const KINDS = {
  u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, i4: Int32Array, f4: Float32Array,
};
const SPECIAL = 0, QUESTION = 1, CONTEXT = 2, NO_NUMBER = 255, SHARE = 65535;
const RIGHT = 1, START_RIGHT = 2, END_RIGHT = 4, UNSCORED = 8;

async function unpack(text) {
  const binary = atob(text.trim());
  const packed = new Uint8Array(binary.length);
  for (let i = 0; i < packed.length; i++) packed[i] = binary.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const report = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  report.arrays = {};
  for (const [name, [place, size, kind]] of Object.entries(report.sections)) {
    report.arrays[name] = new KINDS[kind](buffer, 4 + length + place, size);
  }
  return report;
}

let report, arrays, N, W, T, S;

function take(unpacked) {
  report = unpacked;
  arrays = report.arrays;
  N = report.examples.length;
  S = report.snapshots.length;
  W = arrays.token_offset.length - 1;
  T = arrays.segment.length;
  // Places of tokens are stored as the gap to the token before.
  arrays.char_start = new Int32Array(T);
  for (let i = 0, end = 0; i < T; i++) {
    arrays.char_start[i] = end + arrays.char_gap[i];
    end = arrays.char_start[i] + arrays.char_length[i];
  }
}

// A value of a column at a snapshot: columns are [S, N].
const at = (name, position, example) => arrays[name][position * N + example];
const share = (name, position, example) => at(name, position, example) / SHARE;
const isRight = (position, example) => (at("flags", position, example) & RIGHT) > 0;
const confidence = (position, example) =>
  Math.sqrt(share("gold_start_prob", position, example) * share("gold_end_prob", position, example));
// Of large sets early snapshots may score a sample alone: of the others they hold nothing.
const isScored = (position, example) => (at("flags", position, example) & UNSCORED) === 0;
const areScored = (position, example) => position > 0 && isScored(position, example) && isScored(position - 1, example);
const learned = (position, example) =>
  areScored(position, example) && isRight(position, example) && !isRight(position - 1, example);
const forgotten = (position, example) =>
  areScored(position, example) && !isRight(position, example) && isRight(position - 1, example);
const isImpossible = (example) => report.examples[example].answers.length === 0;
const windowCount = (example) => arrays.window_offset[example + 1] - arrays.window_offset[example];

// The scores of a window at a snapshot, Float32Array; NaN where the model gave none.
function logits(window, position, side) {
  const lo = arrays.token_offset[window], hi = arrays.token_offset[window + 1];
  const levels = arrays[side + "_levels"].subarray(position * T + lo, position * T + hi);
  const low = arrays[side + "_low"][position * W + window], high = arrays[side + "_high"][position * W + window];
  const unit = (high - low) / report.levels;
  const values = new Float32Array(levels.length);
  for (let i = 0; i < values.length; i++) values[i] = levels[i] === NO_NUMBER ? NaN : low + levels[i] * unit;
  return values;
}

// Offsets are code points, JavaScript counts UTF-16 units: where they differ, a text becomes a list of characters.
const lists = new Map();
function charactersOf(text) {
  if (!lists.has(text)) lists.set(text, /[\ud800-\udfff]/.test(text) ? Array.from(text) : null);
  return lists.get(text);
}

function slice(text, start, end) {
  const list = charactersOf(text);
  return list ? list.slice(start, end).join("") : text.slice(start, end);
}

const lengthOf = (text) => (charactersOf(text) || text).length;

const passageOf = (example) => report.passages[report.examples[example].passage];

// The tokens of a window: kinds, places in their text, texts, and which of them an answer may start or end with.
function tokensOf(example, window) {
  const lo = arrays.token_offset[window], hi = arrays.token_offset[window + 1];
  const kinds = arrays.segment.subarray(lo, hi), starts = arrays.char_start.subarray(lo, hi);
  const lengths = arrays.char_length.subarray(lo, hi);
  const question = report.examples[example].question, passage = passageOf(example);
  const texts = [], choosable = new Uint8Array(kinds.length);
  let special = report.specials[0];
  for (let i = 0; i < kinds.length; i++) {
    if (kinds[i] === SPECIAL) {
      texts.push(special);
      special = report.specials[1];
    } else texts.push(slice(kinds[i] === QUESTION ? question : passage, starts[i], starts[i] + lengths[i]));
    choosable[i] = kinds[i] === CONTEXT ? 1 : 0;
  }
  const nothing = arrays.null_token[window];
  if (report.allowNull) choosable[nothing] = 1;
  return { kinds, starts, lengths, texts, choosable, nothing, count: kinds.length };
}

// Probability of every token among those that may be chosen.
function softmax(values, choosable) {
  let top = -Infinity, total = 0;
  for (let i = 0; i < values.length; i++) if (choosable[i] && values[i] > top) top = values[i];
  const shares = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    if (choosable[i] && values[i] === values[i]) total += shares[i] = Math.exp(values[i] - top);
  }
  if (total > 0) for (let i = 0; i < shares.length; i++) shares[i] /= total;
  return shares;
}

// Where the first expected answer stands, as tokens of a window: the null token where there is none, -1: elsewhere.
function expectedTokens(example, window) {
  if (isImpossible(example)) return [arrays.null_token[window], arrays.null_token[window]];
  return [arrays.gold_start[window], arrays.gold_end[window]];
}

function predictedTokens(example, window, position) {
  if (!isScored(position, example)) return [-1, -1];
  const here = arrays.window_offset[example] + at("pred_window", position, example);
  if (at("pred_start", position, example) < 0) return [arrays.null_token[window], arrays.null_token[window]];
  if (here !== window) return [-1, -1];
  return [at("pred_start", position, example), at("pred_end", position, example)];
}

// [start, end) of the passage, in code points; null for no answer.
function expectedChars(example) {
  const first = report.examples[example].answers[0];
  return first ? [first[1], first[1] + lengthOf(first[0])] : null;
}

function predictedChars(example, position) {
  const start = at("pred_char_start", position, example);
  return start < 0 ? null : [start, at("pred_char_end", position, example)];
}

function predictedText(example, position) {
  if (!isScored(position, example)) return undefined;
  const found = predictedChars(example, position);
  return found ? slice(passageOf(example), found[0], found[1]) : null;
}

// An answer in words: null is "no answer", undefined is not known.
const answerText = (text, limit) =>
  text === undefined ? "not scored" : text === null ? "(no answer)" : limit ? short(text, limit) : text;

const expectedText = (example) => (report.examples[example].answers[0] || [null])[0];

// The best spans of an example over its windows, from the drawn scores: near the run's own, the first one exact.
let lastBest = {};
function nBest(example, position, count) {
  const key = `${example} ${position}`;
  if (lastBest.key === key) return lastBest.kept;
  if (!isScored(position, example)) return [];
  const found = new Map();
  let nothing = Infinity;
  for (let window = arrays.window_offset[example]; window < arrays.window_offset[example + 1]; window++) {
    const tokens = tokensOf(example, window);
    const start = logits(window, position, "start"), end = logits(window, position, "end");
    nothing = Math.min(nothing, start[tokens.nothing] + end[tokens.nothing]);
    const best = [];
    for (let i = 0; i < tokens.count; i++) {
      if (tokens.kinds[i] !== CONTEXT) continue;
      const last = Math.min(tokens.count, i + report.maxAnswer);
      for (let j = i; j < last && tokens.kinds[j] === CONTEXT; j++) {
        const score = start[i] + end[j];
        if (score !== score || (best.length > count && score <= best[count].score)) continue;
        const place = best.findIndex((span) => span.score < score);
        const span = { score, from: tokens.starts[i], to: tokens.starts[j] + tokens.lengths[j] };
        best.splice(place < 0 ? best.length : place, 0, span);
        best.length = Math.min(best.length, count + 1);
      }
    }
    for (const span of best) {
      const place = span.from + "-" + span.to, old = found.get(place);
      if (!old || old.score < span.score) found.set(place, span);
    }
  }
  const spans = [...found.values()];
  if (report.allowNull && nothing < Infinity) spans.push({ score: nothing, from: -1, to: -1 });
  const exact = predictedChars(example, position) || [-1, -1];
  const isFirst = (span) => span.from === exact[0] && span.to === exact[1];
  const name = exact[0] < 0 ? "null_score" : "score";
  const first = { score: at(name, position, example), from: exact[0], to: exact[1], exact: true };
  const others = spans.filter((span) => !isFirst(span)).sort((a, b) => b.score - a.score);
  const kept = [first, ...others.slice(0, count - 1)];
  const weight = (span) => (span.score === first.score ? 1 : Math.exp(span.score - first.score));
  const total = kept.reduce((sum, span) => sum + weight(span), 0);
  for (const span of kept) {
    span.share = weight(span) / total;
    span.text = span.from < 0 ? null : slice(passageOf(example), span.from, span.to);
  }
  lastBest = { key, kept };
  return kept;
}
