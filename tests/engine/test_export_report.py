"""A report: what it holds, how near its scores are, what it leaves out, and that nothing in it is read as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.examples import dump_examples
from engine.errors import ExitCode, UsageError, WriteError
from engine.export import report
from engine.export.contents import open_contents
from engine.export.kinds import Request, write_export
from engine.export.report_payload import LEVELS, NO_NUMBER, fitting, order_of_choice, quantised, spread
from engine.rundir.layout import RunDir
from engine.rundir.snapshot import Snapshot, snapshot_name
from engine.storage.atomic_io import replace_file
from tests.fake_run import fake_set, make_run
from tests.recorded import recorded_run
from tui.cli.main import main

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><!--"


def written(run: RunDir, folder: Path) -> str:
    path = folder / "report.html"
    write_export(Request(run, path))
    return path.read_text("utf-8")


def payload(page: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and arrays of a page, taken apart as its script does."""
    (data,) = re.findall(r'<script type="text/plain" id="data">([^<]*)</script>', page)
    block = zlib.decompress(base64.b64decode(data))
    length = int.from_bytes(block[:4], "little")
    header = json.loads(block[4 : 4 + length])
    arrays = {
        name: np.frombuffer(block, "<" + kind, size, 4 + length + place)
        for name, (place, size, kind) in header["sections"].items()
    }
    return header, arrays


def test_it_holds_every_example_with_near_scores_and_exact_predictions(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    header, arrays = payload(written(run, tmp_path))
    assert [snapshot["label"] for snapshot in header["snapshots"]][:2] == ["untrained", "step 1"]
    with open_contents(run) as contents:
        assert [example["id"] for example in header["examples"]] == [example.id for example in contents.examples]
        sizes = np.diff(arrays["token_offset"])
        for position in range(len(contents.snapshots)):
            with Snapshot(run.path / snapshot_name(position)) as snapshot:
                start, _ = snapshot.logits()
                predicted = snapshot.column("pred_char_start")
            windows, tokens = len(sizes), int(sizes.sum())
            low = np.repeat(arrays["start_low"].reshape(-1, windows)[position], sizes)
            unit = np.repeat(arrays["start_high"].reshape(-1, windows)[position], sizes) - low
            drawn = low + arrays["start_levels"].reshape(-1, tokens)[position] / LEVELS * unit
            assert np.all(np.abs(drawn - start) <= unit / LEVELS / 2 + 1e-5)
            assert (arrays["pred_char_start"].reshape(-1, contents.count)[position] == predicted).all()
    assert [panel["name"] for panel in header["curves"]][:3] == ["Loss", "Accuracy", "EM and F1"]


@given(st.lists(st.floats(width=32), min_size=2, max_size=40), st.integers(1, 39))
def test_quantised_scores_are_within_half_a_step(values: list[float], cut: int) -> None:
    logits = np.array(values, np.float32)
    logits = np.where(np.abs(logits) < 1e30, logits, np.nan).astype(np.float32)
    offset = np.array([0, min(cut, len(values) - 1), len(values)])
    found = quantised(logits, offset)
    sizes = np.diff(offset)
    low, high = (np.repeat(side.astype(np.float64), sizes) for side in (found.low, found.high))
    known = np.isfinite(logits)
    assert (found.levels[~known] == NO_NUMBER).all()
    drawn = low + found.levels / LEVELS * (high - low)
    allowed = (high - low) / LEVELS * 0.51 + 1e-6 * np.maximum(np.abs(low), np.abs(high)) + 1e-12
    assert (np.abs(drawn - logits)[known] <= allowed[known]).all()


def test_hostile_texts_are_nowhere_in_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, name="a<script>b@DATA@")
    made = fake_set(4).dataset
    hostile = tuple(msgspec.structs.replace(e, question=HOSTILE, id=f"{HOSTILE}{e.id}") for e in made.eval)
    replace_file(run.examples_file, dump_examples(msgspec.structs.replace(made, eval=hostile)))
    page = written(run, tmp_path)
    assert "onerror" not in page
    assert "<h1 id=\"name\">a&lt;script&gt;b@DATA@</h1>" in page  # fmt: skip
    assert page.count("<script") == 2
    assert payload(page)[0]["examples"][0]["question"] == HOSTILE


def test_only_its_own_script_and_style_may_run_and_nothing_may_be_fetched(tmp_path: Path) -> None:
    page = written(make_run(tmp_path, examples=3, snapshots=2), tmp_path)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("style", "style-src"), ('script type="module"', "script-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag.split()[0]}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"\s(?:src|href)=\"(?!#)", page)
    assert not re.search(r"\son\w+=", page)
    assert " style=" not in page


def test_no_path_or_host_of_the_machine_is_in_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=3, snapshots=2)
    header, _ = payload(written(run, tmp_path))
    text = json.dumps(header)
    assert str(tmp_path) not in text
    assert "testhost" not in text
    assert ["data", "fake-data.json"] in header["facts"]


def test_of_a_larger_run_it_holds_a_sample_failures_first_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path, examples=200, snapshots=25, tokens=60, noise=3.0)
    monkeypatch.setattr(report, "LARGEST", 330_000)
    path = tmp_path / "report.html"
    done = write_export(Request(run, path))
    assert path.stat().st_size <= 330_000
    header, arrays = payload(path.read_text("utf-8"))
    count = len(header["examples"])
    assert 10 < count < 200
    assert f"The page holds {count} of 200 examples: suspects and failures first" in done.notes[0]
    assert "The slider walks over 20 of 25 snapshots" in done.notes[1]
    assert header["notes"][1:] == list(done.notes)
    assert [header["snapshots"][at]["index"] for at in (0, -1)] == [0, 24]
    with open_contents(run) as contents:
        assert {example["number"] for example in header["examples"]} == set(order_of_choice(contents)[:count])
    assert len(arrays["flags"]) == 20 * count


def test_the_order_of_choice_holds_every_example_once_suspects_and_failures_first(tmp_path: Path) -> None:
    with open_contents(recorded_run(tmp_path)) as contents:
        order = order_of_choice(contents)
        place, boundary = contents.suspects
        assert order[0] == place[0].example
        assert boundary[0].example in order[:2]
        assert sorted(order) == list(range(44))
        suspects = {one.example for entries in (place, boundary) for one in entries}
        with contents.open(9) as snapshot:
            wrong = set(np.flatnonzero(snapshot.column("exact_match") < 1).tolist())
        assert suspects != set(range(44)), "the run is to have others too"
        assert suspects | wrong <= set(order[: len(suspects | wrong) + 5])
        assert fitting(contents, order, 4, 1) == [order[0]]
        assert fitting(contents, order, 4, 10**9) == list(range(44))


def test_a_spread_keeps_both_ends() -> None:
    assert spread(3, 5) == [0, 1, 2]
    assert spread(100, 3) == [0, 50, 99]


def test_no_numbers_and_no_answers_are_no_trouble(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=8, snapshots=2, has_impossible=True, windows=3)
    header, arrays = payload(written(run, tmp_path))
    assert header["allowNull"]
    assert [len(example["answers"]) for example in header["examples"]] == [1, 1, 1, 0] * 2
    assert arrays["window_offset"].tolist() == [3 * n for n in range(9)]


def test_a_damaged_snapshot_is_left_out_with_a_word(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=3)
    (run.path / snapshot_name(1)).write_bytes(b"torn")
    done = write_export(Request(run, tmp_path / "report.html"))
    assert done.notes == ("0001.safetensors can't be read and is left out",)


def test_snapshots_of_a_sample_say_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=10, snapshots=4, sampled=(1, 2))
    done = write_export(Request(run, tmp_path / "report.html"))
    assert done.notes == ("step 10, step 20: 2 of 10 scored, an even sample",)
    header, arrays = payload((tmp_path / "report.html").read_text("utf-8"))
    assert [snapshot["sample"] for snapshot in header["snapshots"]] == ["", "2 of 10 scored", "2 of 10 scored", ""]
    lines = [line for panel in header["curves"] for line in panel["lines"] if line["points"]]
    assert {(tuple(line["x"]), tuple(line["sampled"]["x"])) for line in lines} == {((0, 30), (10, 20))}
    unscored = arrays["flags"].reshape(4, 10) & 8 > 0
    assert np.flatnonzero(~unscored[1]).tolist() == np.flatnonzero(~unscored[2]).tolist() == [0, 5]
    assert not unscored[[0, 3]].any()
    groups = arrays["group_scored"].reshape(4, -1)
    assert groups[:, 0].tolist() == [10, 2, 2, 10]
    assert (arrays["group_right"].reshape(4, -1) <= groups).all()
    windows = len(arrays["token_offset"]) - 1
    levels = arrays["start_levels"].reshape(4, -1)
    for window in range(windows):
        tokens = slice(*arrays["token_offset"][window : window + 2].tolist())
        assert (levels[1, tokens] == 255).all() == bool(unscored[1, window])
    # They are among the examples of a report that does not hold all.
    with open_contents(run) as contents:
        assert {0, 5} <= set(order_of_choice(contents)[: 2 + sum(len(each) for each in contents.suspects)])


def test_nothing_is_overwritten_and_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2)
    written(run, tmp_path)
    with pytest.raises(WriteError, match="exists already"):
        written(run, tmp_path)
    empty = make_run(tmp_path, name="empty", examples=4, snapshots=0, live=True)
    with pytest.raises(UsageError, match="no snapshot yet"):
        write_export(Request(empty, tmp_path / "empty.html"))
    assert not (tmp_path / "empty.html").exists()


def test_groups_are_of_all_scored_questions(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    header, arrays = payload(written(run, tmp_path))
    groups = header["groups"]
    assert [groups[0][name] for name in ("kind", "name", "count")] == ["all", "all examples", 44]
    assert groups[0]["members"] == list(range(44))
    right = arrays["group_right"].reshape(10, len(groups))
    for position in (0, 9):
        with Snapshot(run.path / snapshot_name(position)) as snapshot:
            assert right[position, 0] == snapshot.column("exact_match").sum()
    words = [number for number, group in enumerate(groups) if group["kind"] == "question word"]
    assert sorted(number for group in words for number in groups[group]["members"]) == list(range(44))
    assert (right[:, words].sum(axis=1) == right[:, 0]).all()


def test_suspects_come_with_their_reasons(tmp_path: Path) -> None:
    run = recorded_run(tmp_path)
    header, arrays = payload(written(run, tmp_path))
    assert header["counted"] == [f"epoch {number}" for number in range(1, 6)]
    (example, words), *_ = header["suspects"]["place"]
    assert "the label says “" in words
    with open_contents(run) as contents:
        assert contents.suspects[0][0].example == example
        assert arrays["run_confidence"] == pytest.approx(contents.dynamics.confidence if contents.dynamics else 0)


def test_the_command_says_what_it_wrote_and_refuses_what_has_no_meaning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2)
    path = tmp_path / "report.html"
    assert main(["export", str(run.path), "-o", str(path)]) == ExitCode.OK
    assert capsys.readouterr().out == f"wrote {path} ({path.stat().st_size:,} bytes)\n"
    assert main(["export", str(run.path), "-o", str(path)]) == ExitCode.CANNOT_WRITE
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(run.path), "-o", str(tmp_path / "b.html"), "--tokens"]) == ExitCode.USAGE
    assert "--tokens has no meaning for a .html file" in capsys.readouterr().err
    assert main(["export", str(run.path), "-o", str(tmp_path / "a.csv"), "--tokens", "--passages"]) == ExitCode.USAGE
    assert "--passages has no meaning with --tokens" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
