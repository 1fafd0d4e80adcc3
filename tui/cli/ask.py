"""`ask`: any question on any text, to the model of a run as it was then."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.errors import DataError, ExitCode, UsageError
from tui.cli.answer_lines import answer_lines, change_line, json_line
from tui.cli.answer_options import MODEL_OPTIONS, decision_from, find_model
from tui.cli.common import RUN, can_move_cursor, command
from tui.cli.progress import Waiting
from tui.drawing.text import plain
from tui.options import GroupedOption

if TYPE_CHECKING:
    from engine.messages import Answer, Decision, Explanation, Method
    from engine.reader import Reader

MAX_PASSAGE = 64 << 20
"""Bytes of a passage that are read from a file or from standard input."""


@command(
    RUN,
    GroupedOption(
        ["-q", "--question"],
        "question",
        metavar="TEXT",
        multiple=True,
        help="may be given several times; else asked for",
    ),
    GroupedOption(
        ["-c", "--context"],
        "question",
        metavar="TEXT|@FILE|-",
        help="the passage, a file that holds it, or standard input",
    ),
    GroupedOption(
        ["--snapshot"],
        "answers",
        metavar="N|best|last|all",
        default="best",
        help="whose weights: a snapshot's number, best (F1, the default), last, or all that are kept",
    ),
    GroupedOption(
        ["--nbest"], "answers", metavar="K", type=click.IntRange(0, 1000), default=3, help="how many candidates to show"
    ),
    GroupedOption(["--why"], "answers", is_flag=True, help="the words that made the answer, tested by masking them"),
    GroupedOption(
        ["--steps"],
        "answers",
        metavar="N",
        type=click.IntRange(1, 1000),
        help="with --why: integrated gradients in N steps (20 is usual) as a second opinion",
    ),
    GroupedOption(["--json", "as_json"], "output", is_flag=True, help="one JSON object for each answer"),
    *MODEL_OPTIONS,
)
def ask(
    run: str,
    question: tuple[str, ...],
    context: str | None,
    snapshot: str,
    nbest: int,
    why: bool,
    steps: int | None,
    as_json: bool,
    threshold: float | None,
    min_probability: float | None,
    runs_dir: str | None,
    **how: Any,
) -> int:
    """Ask a run, a checkpoint or any question-answering model; a prompt without -q."""
    from engine.reader import Reader

    if steps is not None and not why:
        raise UsageError("--steps means nothing without --why.")
    if why and snapshot == "all":
        raise UsageError("--why explains one answer.", hint="Choose a snapshot: --snapshot N, best or last.")
    path = find_model(run, runs_dir)
    piped = not sys.stdin.isatty()
    if context is None and piped and not question:
        raise UsageError("nothing is asked.", hint="Give a question with -q and a passage with -c TEXT or -c @FILE.")
    passage = _passage(context if context is not None else "-" if piped else None)
    with Reader(path, "best" if snapshot == "all" else snapshot, **how) as reader:
        decision_from(reader.source, threshold, min_probability)  # what can't be meant is said before anything is asked
        numbers = _kept(reader) if snapshot == "all" else None
        passage = passage if passage is not None else _prompt_passage()
        asking = _Asking(
            reader,
            passage,
            threshold,
            min_probability,
            nbest,
            as_json,
            why,
            steps,
            named=len(question) > 1 or (piped and not question),
        )
        code = ExitCode.OK
        for text in question or _prompt_questions(piped=piped):
            try:
                if numbers is None:
                    asking.once(text)
                else:
                    asking.through(numbers, text)
            except UsageError as error:
                if question:
                    raise
                # The next question may be better.
                click.echo(plain(str(error)), err=True)
                code = error.exit_code if piped else code
    return int(code)


@dataclass
class _Asking:
    """What stays the same from question to question; `named`: the question is printed with its answer."""

    reader: Reader
    passage: str
    threshold: float | None
    min_probability: float | None
    nbest: int
    as_json: bool
    why: bool
    steps: int | None
    named: bool
    begun: bool = False

    def once(self, question: str) -> None:
        """Print the answer with its place and rivals."""
        answer = self._answer(question)
        found = self._explained(question) if self.why else None
        if self.as_json:
            self._print_json(question, answer, found)
            return
        if self.begun:
            click.echo()
        ready = None if self.begun else self.reader.ready
        width = shutil.get_terminal_size().columns if can_move_cursor() else None
        asked = question if self.named else None
        for line in answer_lines(asked, self.passage, answer, self.nbest, ready, width=width):
            click.echo(line)
        if found is not None:
            from tui.cli.why_lines import why_lines

            for line in why_lines(found, question, self.passage):
                click.echo(line)
        self.begun = True
        sys.stdout.flush()

    def through(self, numbers: Sequence[int], question: str) -> None:
        """Print the answer of each of these snapshots, in the order of training."""
        before: Answer | None = None
        if self.named and not self.as_json:
            click.echo(plain(question))
        for number in numbers:
            self.reader.use(number)
            answer = self._answer(question)
            if self.as_json:
                self._print_json(question, answer)
            else:
                click.echo(change_line(self.reader.source.label, answer, before))
            before = answer

    def _answer(self, question: str) -> Answer:
        with Waiting("reading the passage", "windows") as waiting:
            [answer] = self.reader.answers(
                [(question, self.passage)],
                n_best=max(self.nbest, 1),
                decision=self._decision(),
                progress=waiting.show,
            )
        return answer

    def _decision(self) -> Decision:
        """When an answer is given: each checkpoint has a temperature and a threshold of its own."""
        return decision_from(self.reader.source, self.threshold, self.min_probability)

    def _explained(self, question: str) -> Explanation:
        methods: tuple[Method, ...] = ("gradient",) if self.steps is None else ("gradient", "integrated")
        return self.reader.explain(
            question, self.passage, methods=methods, steps=self.steps or 1, decision=self._decision()
        )

    def _print_json(self, question: str, answer: Answer, found: Explanation | None = None) -> None:
        more = {}
        if found is not None:
            from tui.cli.why_lines import why_record

            more = {"why": why_record(found, question, self.passage)}
        click.echo(json_line(question, answer, self.reader.source.label, self.nbest, more))


def _kept(reader: Reader) -> list[int]:
    """Numbers of the snapshots whose weights are kept."""
    kept = reader.snapshots()
    if not kept:
        raise UsageError(f"{reader.path}: not a run, so it has no snapshots.", hint="Leave --snapshot out.")
    return [weights.snapshot.index for weights in kept if weights.snapshot is not None]


def _passage(given: str | None) -> str | None:
    """The passage that -c names; None where it is to be asked for. Raises UsageError, DataError."""
    from engine.data.formats.utf8 import decode

    if given is None:
        return None
    if given == "-":
        name, data = "standard input", sys.stdin.buffer.read(MAX_PASSAGE + 1)
    elif given.startswith("@"):
        name = given[1:]
        try:
            with Path(name).expanduser().open("rb") as file:
                data = file.read(MAX_PASSAGE + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{name}: the passage can't be read: {reason}.") from None
    else:
        return given
    if len(data) > MAX_PASSAGE:
        raise DataError(f"{name}: more than {MAX_PASSAGE >> 20} MB are no passage.")
    return decode(Path(name), data)


def _prompt_passage() -> str:
    click.echo("passage, ended by an empty line:", err=True)
    lines: list[str] = []
    for line in sys.stdin:
        if not line.strip() and lines:
            break
        lines.append(line)
    return "".join(lines).strip("\n")


def _prompt_questions(*, piped: bool) -> Iterator[str]:
    """Questions from a terminal until an empty line, or (`piped`) from what is piped in, one a line."""
    if piped:
        yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - input() then edits lines and remembers them

    while True:
        try:
            text = input("question (empty: leave): ")
        except EOFError:
            click.echo()
            return
        if not text.strip():
            return
        yield text
