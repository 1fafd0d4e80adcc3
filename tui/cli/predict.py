"""`predict`: answers for every question of a file, as the official scripts read them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import ExitCode, UsageError
from tui.cli.answer_options import MODEL_OPTIONS, decision_from, find_model
from tui.cli.common import DATASET, RUN, command
from tui.cli.progress import Waiting
from tui.options import GroupedOption

if TYPE_CHECKING:
    from engine.data.questions import QuestionFile
    from engine.predictions import PartScores

SHOWN_ISSUES = 5
N_BEST = 20


def _file(names: list[str], help_text: str, *, required: bool = False) -> GroupedOption:
    return GroupedOption(names, "output", metavar="FILE", type=click.Path(), required=required, help=help_text)


@command(
    RUN,
    DATASET,
    _file(["-o", "--output"], "where to write {id: answer}; nothing is ever overwritten", required=True),
    _file(["--nbest", "nbest_file"], f"also write the {N_BEST} best answers of each question"),
    _file(["--null-odds", "odds_file"], 'also write how far "no answer" exceeds the best answer'),
    GroupedOption(
        ["--columns"],
        "question",
        metavar="ROLE=NAME,…",
        default=None,
        help="columns of a table, such as context=text,question=q (default: the usual names)",
    ),
    GroupedOption(
        ["--split"],
        "question",
        type=click.Choice(["train", "validation"]),
        default=None,
        help="only this split of the file (default: every question)",
    ),
    GroupedOption(["--snapshot"], "answers", metavar="N|best|last", default="best", help="whose weights, as in `ask`"),
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="print the scores as one JSON object"),
    *MODEL_OPTIONS,
)
def predict(
    run: str,
    dataset: str,
    output: str,
    nbest_file: str | None,
    odds_file: str | None,
    columns: str | None,
    split: str | None,
    snapshot: str,
    as_json: bool,
    threshold: float | None,
    min_probability: float | None,
    runs_dir: str | None,
    **how: Any,
) -> int:
    """Answer every question of a file, labelled or not; EM and F1 where it has labels."""
    from engine.answering_model import f1_units
    from engine.predictions import check_new, score_part, write_n_best, write_null_odds, write_predictions
    from engine.reader import Reader
    from tui.drawing.text import plain

    outputs = [Path(name) for name in (output, nbest_file, odds_file) if name is not None]
    check_new(outputs)
    path = find_model(run, runs_dir)
    with Reader(path, snapshot, **how) as reader:  # the model loads while the file is read
        source = reader.source
        decision = decision_from(source, threshold, min_probability)
        if odds_file is not None and not source.allow_null:
            raise UsageError("this model always answers, so there are no null odds.", hint="Leave --null-odds out.")
        from engine.data.questions import read_questions

        file = read_questions(dataset, split, columns)
        unanswered = _tell_issues(file)
        examples = file.examples
        began = time.monotonic()
        with Waiting(f"answering {len(examples):,} questions", "windows") as waiting:
            answers = reader.answers(
                [(example.question, example.context) for example in examples],
                n_best=N_BEST if nbest_file is not None else 0,
                decision=decision,
                progress=waiting.show,
                empty_questions=True,
            )
        seconds = time.monotonic() - began
    write_predictions(Path(output), examples, answers)
    if nbest_file is not None:
        write_n_best(Path(nbest_file), examples, answers)
    if odds_file is not None:
        write_null_odds(Path(odds_file), examples, answers)
    by_id = dict(zip((example.id for example in examples), answers, strict=True))
    scored = [score_part(part, by_id, allow_null=source.allow_null, f1=f1_units(path)) for part in file.parts]
    known = [scores for scores in scored if scores is not None]
    if as_json:
        _print_json(known, len(examples), source.label)
    else:
        for line in _lines(known, len(examples), seconds, source.label):
            click.echo(plain(line))
        for written in outputs:
            click.echo(f"wrote {plain(str(written))}")
    return int(ExitCode.BAD_DATA if unanswered else ExitCode.OK)


def _tell_issues(file: QuestionFile) -> int:
    """Say on standard error what can't be asked or not be scored; returns how many questions can't be asked."""
    from tui.drawing.text import plain

    errors = [issue for issue in file.issues if issue.level == "error"]
    warnings = [
        issue for issue in file.issues if issue.level == "warning" and issue.message.endswith("it is not scored")
    ]
    for issues, what in ((errors, "not answered"), (warnings, "not scored")):
        for issue in issues[:SHOWN_ISSUES]:
            click.echo(plain(f"{what}: {issue.place}: {issue.message}"), err=True)
        if len(issues) > SHOWN_ISSUES:
            click.echo(f"{what}: {len(issues) - SHOWN_ISSUES:,} more", err=True)
    return len(errors)


def _lines(known: list[PartScores], count: int, seconds: float, label: str) -> list[str]:
    of = f" by {label}" if label else ""
    lines = [f"{count:,} questions answered{of} in {seconds:.1f} s ({count / max(seconds, 1e-9):.1f}/s)"]
    for scores in known:
        name = f"{scores.name}: " if scores.name else ""
        line = f"{name}EM {scores.exact_match:.2f}  F1 {scores.f1:.2f}  ({scores.questions:,} questions)"
        for title, part in (("HasAns", scores.has_answer), ("NoAns", scores.no_answer)):
            if part is not None:
                line += f"  | {title} EM {part[0]:.2f}  F1 {part[1]:.2f}  ({part[2]:,})"
        if scores.unlabelled:
            line += f"  | {scores.unlabelled:,} without labels"
        lines.append(line)
    if not known:
        lines.append("no labels in the file, so there is nothing to score")
    return lines


def _print_json(known: list[PartScores], count: int, label: str) -> None:
    import json

    import msgspec

    splits = {scores.name or "all": msgspec.to_builtins(scores) for scores in known}
    click.echo(json.dumps({"questions": count, "snapshot": label, "scores": splits}))
