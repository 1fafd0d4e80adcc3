// Where it fails: questions in groups, at the snapshot shown; a row shows its group in the list.
let groupRows = [];

function startFails() {
  const heads = ["group", "questions", "right", "", "F1", "wrong", "↑ learned", "↓ forgotten", "right, from the first snapshot to the last"];
  const body = el("tbody", {});
  let kind = null;
  groupRows = report.groups.map((group, g) => {
    if (group.kind !== kind && group.kind !== "all") {
      body.append(el("tr", { class: "kind" }, el("th", { scope: "rowgroup", colspan: heads.length }, group.kind)));
    }
    kind = group.kind;
    const button = el("button", { type: "button", title: "List these examples" }, el("bdi", {}, group.name));
    button.addEventListener("click", () => {
      const named = group.kind === "all" ? group.name : `${group.kind}: ${group.name}`;
      showGroup(group.kind === "all" || state.group === g ? null : g, named);
    });
    const cells = ["right", "f1", "wrong", "learned", "forgotten"].map(() => el("td", { class: "num" }));
    const bar = el("span", { class: "share", "aria-hidden": "true" });
    const counts = el("td", { class: "num" }, group.count.toLocaleString("en"));
    const row = el("tr", {}, el("th", { scope: "row" }, button), counts,
      cells[0], el("td", { class: "share-cell" }, bar), ...cells.slice(1), el("td", {}, course(g)));
    body.append(row);
    return { row, bar, cells, counts };
  });
  $("fails-table").replaceChildren(el("thead", {}, el("tr", {}, ...heads.map((text, n) => el("th", { scope: "col", class: n && n < heads.length - 1 ? "num" : null }, text)))), body);
  painters.push(() => groupRows.forEach(({ row }, g) => row.classList.toggle("chosen", state.group === g)));
  paintWhenSeen("fails", drawFails);
}

const groupAt = (name, position, g) => arrays[`group_${name}`][position * report.groups.length + g];

function drawFails() {
  groupRows.forEach(({ bar, cells, counts }, g) => {
    const p = state.position, count = groupAt("scored", p, g), right = groupAt("right", p, g);
    const [rose, fell] = [groupAt("learned", p, g), groupAt("forgotten", p, g)];
    if (!count) {
      for (const cell of [...cells, counts]) say(cell, "–");
      bar.style.width = "0";
      return;
    }
    const texts = [percent(right / count), two(groupAt("f1", p, g) / SHARE), String(count - right), rose ? `↑ ${rose}` : "", fell ? `↓ ${fell}` : ""];
    cells.forEach((cell, n) => say(cell, texts[n]));
    bar.style.width = `${(100 * right) / count}%`;
    say(counts, count.toLocaleString("en"));
  });
}

// The share that is right at each snapshot, as little bars.
function course(g) {
  const wide = 9, high = 18;
  const shares = report.snapshots.map((_, p) => groupAt("right", p, g) / Math.max(1, groupAt("scored", p, g)));
  const bars = shares.map((value, p) => {
    const tall = Math.max(1, value * high);
    return `M${p * wide},${high - tall}h${wide - 2}v${tall}h${2 - wide}z`;
  });
  return svg("svg", { class: "course", width: S * wide, height: high, role: "img", "aria-label": `from ${percent(shares[0])} to ${percent(shares[S - 1])}` },
    svg("path", { d: bars.join("") }));
}

function showGroup(group, named) {
  $("group").hidden = group === null;
  say($("group-name"), group === null ? "" : named);
  choose_again({ group });
}
