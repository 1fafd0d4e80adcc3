// The passage with the expected and the predicted answer in it, by brackets and signs too: colour only helps.
const BRACKETS = { gold: ["▲[", "]"], found: ["▼(", ")"], both: ["◆[", "]"] };

function drawPassage(example, position) {
  const passage = passageOf(example), gold = expectedChars(example), found = isScored(position, example) ? predictedChars(example, position) : null;
  const same = gold && found && gold[0] === found[0] && gold[1] === found[1];
  const marks = same ? [["both", gold]] : [gold && ["gold", gold], found && ["found", found]].filter(Boolean);
  const token = state.token, tokens = laid.tokens;
  if (token >= 0 && tokens && tokens.kinds[token] === CONTEXT) {
    marks.push(["at", [tokens.starts[token], tokens.starts[token] + tokens.lengths[token]]]);
  }
  const characters = lengthOf(passage);
  const cuts = [...new Set([0, characters, ...marks.flatMap(([, span]) => span)])].sort((a, b) => a - b);
  const pieces = [];
  cuts.forEach((from, n) => {
    // What closes here comes before what opens here, the last opened first.
    for (const [kind, span] of [...marks].reverse()) if (span[1] === from) pieces.push(bracket(kind, 1));
    for (const [kind, span] of marks) if (span[0] === from) pieces.push(bracket(kind, 0));
    if (n + 1 === cuts.length) return;
    const text = slice(passage, from, cuts[n + 1]);
    const kinds = marks.filter(([, span]) => span[0] <= from && cuts[n + 1] <= span[1]).map(([kind]) => kind);
    pieces.push(kinds.length ? el("mark", { class: kinds.join(" ") }, text) : text);
  });
  $("passage").replaceChildren(...pieces.filter(Boolean));
}

function bracket(kind, end) {
  return BRACKETS[kind] ? el("b", { class: "bracket " + kind }, BRACKETS[kind][end]) : null;
}
