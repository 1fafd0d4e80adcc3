"""Explanations for the app, of a real run's weights: which weights, one wish at a time, and the end of the process."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from engine.messages import Explanation, Layers
from engine.rundir.checkpoints import kept_weights
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import SnapshotInfo
from tests.tiny_run import kept_run
from tests.uncounted import count_no_child
from tests.waiting import until
from tui.model.asker import Asked, Asker
from tui.model.explainer import Explainer, Target, Wanted

PASSAGE = "For the winter fever 7 take honey 7, then rest for 9 days."
QUESTION = "What do I take?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Two epochs of six steps, the weights of both kept."""
    return kept_run(tmp_path_factory)


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    count_no_child(monkeypatch)


def copied(run: RunDir, folder: Path) -> RunDir:
    shutil.copytree(run.path, folder / "run")
    return RunDir(folder / "run")


def answering_processes() -> set[int]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if "engine.learning.answer" in process.cmdline():
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def test_one_wish_after_the_other(run: RunDir) -> None:
    before = answering_processes()
    explainer = Explainer(Target(QUESTION, PASSAGE, run.path, step=1, seen="step 1"))
    try:
        until(lambda: explainer.opened)
        assert [one.manifest.epoch for one in explainer.kept] == [1, 2]
        assert explainer.first == 0
        first = Wanted(0, "gradient")
        explainer.want(first)
        until(lambda: first in explainer.found)
        assert explainer.label(first).startswith("epoch 1 (snapshot 1, F1 ")
        assert explainer.note(first) == "Nearest to step 1 in view. Kept too: epoch 2."
        second = Wanted(1, "layers")
        explainer.want(second)
        until(lambda: second in explainer.found)
        assert explainer.note(second) == "Not those of step 1 in view. Kept too: epoch 1."
        gradient, layers = explainer.found[first], explainer.found[second]
        assert isinstance(gradient, Explanation)
        assert isinstance(layers, Layers)
        assert [opinion.method for opinion in gradient.opinions] == ["gradient"]
        assert len(layers.start_logits) == 3
        assert gradient.answer.score != layers.answer.score, "of other weights"
        again = Wanted(0, "layers")
        explainer.want(again)
        until(lambda: again in explainer.found)
        found = explainer.found[again]
        assert found.answer.score == gradient.answer.score
        assert len(answering_processes() - before) == 1
    finally:
        explainer.close()
    assert explainer.join(20)
    until(lambda: not answering_processes() - before)


def test_a_process_that_is_there_is_used_and_given_back(run: RunDir) -> None:
    before = answering_processes()
    folder, other = (one.folder for one in kept_weights(run))
    first, later = Asked(QUESTION, PASSAGE, folder), Asked("Why?", PASSAGE, folder)
    asker = Asker(folder)
    asker.ask(first)
    until(lambda: first in asker.answers)
    (process,) = answering_processes() - before
    explainer = Explainer(Target(QUESTION, PASSAGE, run.path, step=6), asker.lend)
    try:
        until(lambda: explainer.opened)
        explainer.want(Wanted(0, "gradient"))
        until(lambda: Wanted(0, "gradient") in explainer.found)
        asker.ask(later)  # waits
        explainer.want(Wanted(1, "gradient"))
        until(lambda: Wanted(1, "gradient") in explainer.found)
        assert later not in asker.answers
        assert answering_processes() - before == {process}
    finally:
        explainer.close()
    until(lambda: later in asker.answers)  # by the weights that were asked, not those explained last
    again = Asked(QUESTION, PASSAGE, other)
    asker.ask(again)
    until(lambda: again in asker.answers)
    assert explainer.found[Wanted(0, "gradient")].answer.score == asker.answers[first].score
    assert explainer.found[Wanted(1, "gradient")].answer.score == asker.answers[again].score
    assert answering_processes() - before == {process}
    asker.close()
    assert asker.join(20)
    with asker.lend() as nothing:
        assert nothing is None
    until(lambda: not answering_processes() - before)


@pytest.mark.parametrize(("step", "position"), [(8, 0), (9, 1), (99, 1)])
def test_the_nearest_weights_of_equals_the_later(run: RunDir, step: int, position: int) -> None:
    explainer = Explainer(Target(QUESTION, PASSAGE, run.path, step=step))
    until(lambda: explainer.opened)
    explainer.close()
    assert [one.manifest.step for one in explainer.kept] == [6, 12]
    assert explainer.first == position
    assert explainer.join(20)


def test_by_name_and_best(run: RunDir) -> None:
    def chosen(snapshot: int | str) -> SnapshotInfo:
        explainer = Explainer(Target(QUESTION, PASSAGE, run.path, snapshot=snapshot))
        until(lambda: explainer.opened)
        explainer.close()
        assert explainer.join(20)
        found = explainer.kept[explainer.first].snapshot
        assert found is not None
        return found

    first, last, best = chosen(1), chosen("last"), chosen("best")
    assert (first.epoch, last.epoch) == (1, 2)
    assert best.metrics.f1 == max(first.metrics.f1, last.metrics.f1)


def test_a_model_without_a_run(run: RunDir) -> None:
    folder = next(iter(sorted(run.checkpoints.iterdir())))
    explainer = Explainer(Target(QUESTION, PASSAGE, folder))
    try:
        wanted = Wanted(0, "gradient")
        explainer.want(wanted)
        until(lambda: wanted in explainer.found)
        assert explainer.kept == []
        assert explainer.label(wanted) == str(folder)
        assert explainer.note(wanted) == ""
    finally:
        explainer.close()
    assert explainer.join(20)


def test_no_weights_kept(run: RunDir, tmp_path: Path) -> None:
    bare = copied(run, tmp_path)
    shutil.rmtree(bare.checkpoints)
    bare.checkpoints.mkdir()
    explainer = Explainer(Target(QUESTION, PASSAGE, bare.path, step=3))
    until(lambda: explainer.trouble is not None)
    assert explainer.trouble is not None
    assert "no weights are kept" in explainer.trouble.message
    assert "--keep-weights all" in explainer.trouble.hint
    assert explainer.join(20)


def test_a_single_checkpoint_says_how_to_keep_more(run: RunDir, tmp_path: Path) -> None:
    bare = copied(run, tmp_path)
    shutil.rmtree(bare.checkpoints / "epoch-0001")
    explainer = Explainer(Target(QUESTION, PASSAGE, bare.path, step=6, seen="epoch 1"))
    until(lambda: explainer.opened)
    explainer.close()
    note = explainer.note(Wanted(0, "gradient"))
    assert note.startswith("Nearest to epoch 1 in view. No others are kept (--keep-weights all ")
    assert explainer.join(20)


def test_what_can_not_be_asked_fails_and_the_rest_goes_on(run: RunDir, tmp_path: Path) -> None:
    """A checkpoint that is damaged after it was found, and an empty passage."""
    bare = copied(run, tmp_path)
    explainer = Explainer(Target(QUESTION, PASSAGE, bare.path, step=12))
    try:
        until(lambda: explainer.opened)
        (bare.checkpoints / "epoch-0001" / "model.safetensors").write_bytes(b"no weights")
        broken, good = Wanted(0, "gradient"), Wanted(1, "gradient")
        explainer.want(broken)
        until(lambda: broken in explainer.failed)
        assert explainer.failed[broken].message
        explainer.want(good)
        until(lambda: good in explainer.found)
    finally:
        explainer.close()
    assert explainer.join(20)
    empty = Explainer(Target(QUESTION, " ", bare.path, step=12))
    wanted = Wanted(0, "gradient")
    empty.want(wanted)
    until(lambda: wanted in empty.failed)
    assert "the passage is empty" in empty.failed[wanted].message
    empty.close()
    assert empty.join(20)
