"""A run whose EM and F1 count characters judges the answers on the screens in the same way."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.data.examples import dump_examples, read_examples
from tests.fake_run import make_run
from tui.model.viewer import Viewer
from tui.screens.journey.model import make_scene
from tui.view_state import ViewState


@pytest.mark.parametrize("f1", ["auto", "words", "characters"])
@pytest.mark.parametrize("chinese", [False, True])
def test_the_viewer_counts_as_the_run_does(tmp_path: Path, f1: str, chinese: bool) -> None:
    run = make_run(tmp_path, examples=4, snapshots=2, tokens=30)
    if chinese:
        dataset = read_examples(run.examples_file)
        examples = [
            msgspec.structs.replace(e, answers=tuple(msgspec.structs.replace(a, text="北京市") for a in e.answers))
            for e in dataset.eval
        ]
        run.examples_file.unlink()
        run.examples_file.write_bytes(dump_examples(msgspec.structs.replace(dataset, eval=tuple(examples))))
    config = msgspec.json.decode((run.path / "config.json").read_bytes())
    (run.path / "config.json").write_bytes(msgspec.json.encode({**config, "f1": f1}))
    viewer = Viewer(run.path)
    viewer.refresh()
    expected = {"auto": chinese, "words": False, "characters": True}[f1]
    assert viewer.by_character is expected
    scene = make_scene(viewer, ViewState())
    assert scene is not None
    assert scene.by_character is expected
    viewer.close()
