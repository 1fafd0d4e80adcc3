"""Verdicts on labels: written at once, by several viewers, and read in spite of damage and newer versions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.config import RunConfig
from engine.data.examples import Answer, Example
from engine.data.write_back.labels import Correction, corrected
from engine.errors import UsageError, WriteError
from engine.rundir import verdicts
from engine.rundir.layout import RunDir
from engine.rundir.verdicts import correction_of, give_verdict, read_verdicts, take_back
from engine.storage.safe_open import read_small

CONTEXT = "Keep the feet dry, and take honey twice a day."
HONEY = Answer("honey", CONTEXT.index("honey"))
DRY = Answer("feet dry", CONTEXT.index("feet"))
EXAMPLE = Example("q1", "t", "What to take?", CONTEXT, (DRY,))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run", RunConfig(dataset="data.json"))


def test_the_newest_verdict_counts_and_undo_brings_back_the_one_before(run: RunDir) -> None:
    assert len(read_verdicts(run)) == 0
    first = give_verdict(run, "validation", EXAMPLE, "keep")
    second = give_verdict(run, "validation", EXAMPLE, "replace", HONEY, by="model")
    other_half = give_verdict(run, "train", EXAMPLE, "drop")
    known = read_verdicts(run)
    assert known.of("validation", "q1") == second
    assert known.of("train", "q1") == other_half
    assert second.label == (DRY,)
    take_back(run, second)
    assert read_verdicts(run).of("validation", "q1") == first
    take_back(run, first)
    assert read_verdicts(run).of("validation", "q1") is None
    assert known.of("validation", "q1") == second  # what was read before does not change


def test_what_is_known_is_not_read_again(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    give_verdict(run, "train", EXAMPLE, "keep")
    known = read_verdicts(run)
    read: list[Path] = []

    def counted(path: Path, limit: int) -> bytes:
        read.append(path)
        return read_small(path, limit)

    monkeypatch.setattr(verdicts, "read_small", counted)
    assert read_verdicts(run, known) is known
    assert not read
    give_verdict(run, "train", EXAMPLE, "drop")
    assert len(read_verdicts(run, known).records) == 2
    assert len(read) == 1


def test_a_clock_that_was_set_back_does_not_reorder(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    give_verdict(run, "train", EXAMPLE, "keep")
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    give_verdict(run, "train", EXAMPLE, "drop")
    found = read_verdicts(run).of("train", "q1")
    assert found is not None
    assert found.action == "drop"


def test_a_forged_name_of_the_far_future_hides_no_new_verdict(run: RunDir) -> None:
    run.verdicts.mkdir()
    (run.verdicts / f"{'9' * 20}-00000000.json").write_text("{}")
    given = give_verdict(run, "train", EXAMPLE, "keep")
    assert read_verdicts(run).of("train", "q1") == given


def test_many_viewers_at_once_lose_nothing(run: RunDir) -> None:
    examples = [Example(f"q{n}", "t", "?", CONTEXT, (DRY,)) for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda example: give_verdict(run, "validation", example, "keep"), examples))
    assert len(read_verdicts(run)) == 60
    assert not [path for path in run.verdicts.iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b"[]", b'{"action": "merge", "half": "train", "example": "q1"}',
        b'{"action": "replace", "half": "train", "example": "q1"}', b"[" * 5000,
        b'{"action": 3}',
    ],
    ids=["empty", "torn", "bytes", "list", "newer action", "no answer", "nested", "wrong type"],
)  # fmt: skip
def test_damage_is_left_out_and_counted(run: RunDir, content: bytes) -> None:
    given = give_verdict(run, "train", EXAMPLE, "keep")
    (run.verdicts / f"{time.time_ns():020}-0badc0de.json").write_bytes(content)
    found = read_verdicts(run)
    assert found.of("train", "q1") == given
    assert len(found.unreadable) == 1


def test_a_newer_version_with_more_fields_is_read(run: RunDir) -> None:
    run.verdicts.mkdir()
    text = '{"action": "drop", "half": "train", "example": "q1", "schema": 9, "mood": {"x": 1}}'
    (run.verdicts / f"{time.time_ns():020}-00000001.json").write_text(text)
    (run.verdicts / "README.json").write_text("not a record")
    found = read_verdicts(run)
    assert found.current["train", "q1"].action == "drop"
    assert not found.unreadable


def test_links_are_not_followed(run: RunDir, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    secret = elsewhere / f"{time.time_ns():020}-00000001.json"
    secret.write_text('{"action": "drop", "half": "train", "example": "q1"}')
    run.verdicts.symlink_to(elsewhere)
    assert len(read_verdicts(run)) == 0
    with pytest.raises(WriteError):
        give_verdict(run, "train", EXAMPLE, "keep")
    run.verdicts.unlink()
    run.verdicts.mkdir()
    (run.verdicts / secret.name).symlink_to(secret)
    assert len(read_verdicts(run)) == 0
    assert len(read_verdicts(run).unreadable) == 1


def test_what_can_not_be_written_is_an_error_for_people(run: RunDir) -> None:
    run.verdicts.write_text("")
    with pytest.raises(WriteError, match="cannot write"):
        give_verdict(run, "train", EXAMPLE, "keep")


def test_a_full_disk_leaves_no_verdict_behind(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    give_verdict(run, "train", EXAMPLE, "keep")

    def full(path: Path, data: object) -> None:
        raise WriteError(f"{path}: cannot write")

    monkeypatch.setattr(verdicts, "replace_file", full)
    with pytest.raises(WriteError):
        give_verdict(run, "train", EXAMPLE, "drop")
    assert read_verdicts(run).current["train", "q1"].action == "keep"


def test_an_answer_must_stand_in_the_passage(run: RunDir) -> None:
    spaced = Answer(" honey ", CONTEXT.index("honey") - 1)
    assert give_verdict(run, "train", EXAMPLE, "replace", spaced).answer == HONEY
    for wrong in (None, Answer("  ", 3), Answer("honey", 0), Answer("honey", -1), Answer("bees", 5)):
        with pytest.raises(UsageError):
            give_verdict(run, "train", EXAMPLE, "replace", wrong)
    with pytest.raises(UsageError):
        give_verdict(run, "train", EXAMPLE, "drop", HONEY)


def test_what_becomes_of_the_label(run: RunDir) -> None:
    several = Example("q1", "t", "?", CONTEXT, (DRY, Answer("dry", DRY.start + 5), DRY))
    no_answer = Example("q1", "t", "?", CONTEXT, (), True)

    def after(example: Example, *verdict: object) -> Example | None:
        return corrected(example, correction_of(give_verdict(run, "train", example, *verdict)))  # type: ignore[arg-type]

    assert after(several, "keep") == several
    assert after(several, "replace", DRY) == several
    changed = after(several, "replace", HONEY)
    assert changed is not None
    assert changed.answers == (HONEY, several.answers[1], HONEY)  # another annotator's gold stays
    nothing = after(several, "unanswerable")
    assert nothing is not None
    assert (nothing.answers, nothing.is_impossible) == ((), True)
    assert after(several, "drop") is None
    assert after(no_answer, "unanswerable") == no_answer
    answered = after(no_answer, "replace", HONEY)
    assert answered is not None
    assert (answered.answers, answered.is_impossible) == ((HONEY,), False)
    assert corrected(several, Correction(HONEY, DRY)) == several  # another label than the one that was judged
