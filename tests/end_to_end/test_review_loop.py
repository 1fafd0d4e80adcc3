"""The loop from a suspect to a better run: found on the map, mended by keys, exported, checked, trained, compared."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from engine.data.examples import Answer
from engine.data.squad import load_dataset
from engine.launch import start
from engine.rundir.liveness import State
from engine.rundir.verdicts import read_verdicts
from tests.fake_app import make_app, opened, press, screen_text, until
from tests.tiny_run import tiny_config
from tui.cli.main import main

ORIGINAL = "data.json"


async def test_suspect_fix_export_check_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path, count=12)
    data = json.loads((tmp_path / ORIGINAL).read_text())
    planted = data["validation"]["data"][5]["paragraphs"][0]["qas"][0]
    planted["answers"] = [{"text": "For", "answer_start": 0}]
    (tmp_path / ORIGINAL).write_text(json.dumps(data))
    before = (tmp_path / ORIGINAL).read_bytes()
    run = start(msgspec.structs.replace(config, run_dir=str(tmp_path / "runs" / "first"), early_snapshots=False))
    assert run.wait() is State.FINISHED

    assert main(["suspects", str(run.path), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(record["id"] == planted["id"] and record["offset"] == 0 for record in records)

    app = make_app(run.directory)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot, "4")
        await until(pilot, lambda: app.viewer.insight.dynamics is not None)
        await press(pilot, "v", "v")  # all examples, walked from the first one
        numbers = {example.id: number for number, example in enumerate(app.viewer.examples)}
        app.go_to_example(numbers[planted["id"]])
        await press(pilot, "S")
        assert app.view_name == "journey"
        await press(pilot, "m")
        context = app.viewer.examples[app.view_state.example].context
        tokens = app.view.scene_at_place().tokens
        honey = context.index("honey")
        in_passage = [n for n in range(len(tokens)) if tokens.segment[n] == 2]
        app.view_state.token = next(n for n in in_passage if tokens.char_start[n] == honey)
        await press(pilot, "S")
        app.view_state.token = next(n for n in in_passage if tokens.char_end[n] == honey + len("honey 5"))
        await press(pilot, "S")
        assert "label → “honey 5”" in screen_text(app)
        await press(pilot, "down", "N", "down", "D", "down", "K", "down", "D", "u")
    verdicts = read_verdicts(run.directory)
    assert [verdict.action for verdict in verdicts.current.values()] == ["replace", "unanswerable", "drop", "keep"]
    assert verdicts.of("validation", planted["id"]).answer == Answer("honey 5", honey)  # type: ignore[union-attr]

    corrected = tmp_path / "corrected.json"
    assert main(["export", str(run.path), "--dataset", str(corrected)]) == 0
    assert "3 labels changed: 1 replaced, 1 without an answer, 1 dropped" in capsys.readouterr().out
    assert main(["check", str(corrected)]) == 0
    assert (tmp_path / ORIGINAL).read_bytes() == before
    mended = {example.id: example for example in load_dataset(corrected).eval}
    assert len(mended) == 11
    assert mended[planted["id"]].answers == (Answer("honey 5", honey),)

    second = msgspec.structs.replace(
        config, dataset=str(corrected), run_dir=str(tmp_path / "runs" / "second"), epochs=1
    )
    again = start(msgspec.structs.replace(second, early_snapshots=False))
    assert again.wait() is State.FINISHED

    app = make_app(again.directory, tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, "5")
        await press(pilot, "o", "down", "enter")
        assert "2 labels differ" in screen_text(app)
        assert "1 are in one run only" in screen_text(app)
