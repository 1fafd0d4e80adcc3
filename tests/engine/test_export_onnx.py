"""`export RUN -o FILE.onnx` and `--onnx`: the file computes what torch computes, and is refused where it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from engine.errors import ExitCode, UsageError
from engine.export import onnx as onnx_kind
from engine.export.kinds import Request, write_export
from engine.rundir.layout import RunDir
from tests.fake_run import make_run
from tests.kept_weights import keep_weights
from tests.tiny_model import make_tiny_model
from tests.uncounted import uncounted_environment
from tui.cli.main import main

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in onnx_kind.PACKAGES), reason="the extra `onnx` is not installed"
)
FOUND = re.compile(
    r"ONNX: logits of (\d+) windows differ from torch's by at most (\S+) \(fp32, limit 1e-04\); "
    r"torch [\d.]+, onnxruntime [\d.]+ windows/s \([\d.]+×, the same batches, \d+ threads\)"
)
COMPARE = """
import sys
import numpy as np, onnxruntime, torch
from transformers import AutoModelForQuestionAnswering
model = AutoModelForQuestionAnswering.from_pretrained(sys.argv[1]).eval()
session = onnxruntime.InferenceSession(sys.argv[2], providers=["CPUExecutionProvider"])
assert [(i.name, i.shape) for i in session.get_inputs()] == [
    (name, ["batch", "length"]) for name in ("input_ids", "attention_mask", "token_type_ids")
], [(i.name, i.shape) for i in session.get_inputs()]
for batch, length in ((1, 5), (3, 64), (7, 31)):
    ids = torch.randint(5, 150, (batch, length))
    types = (torch.arange(length) > 3).long().expand(batch, length).contiguous()
    mask = torch.ones_like(ids)
    mask[-1, length // 2 :] = 0
    with torch.inference_mode():
        out = model(input_ids=ids, attention_mask=mask, token_type_ids=types)
    start, end = session.run(
        ["start_logits", "end_logits"],
        {"input_ids": ids.numpy(), "attention_mask": mask.numpy(), "token_type_ids": types.numpy()},
    )
    real = mask.numpy() > 0
    print(max(np.abs(start - out.start_logits.numpy())[real].max(), np.abs(end - out.end_logits.numpy())[real].max()))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run whose weights are those of the tiny model, over passages of two windows each."""
    folder = tmp_path_factory.mktemp("onnx")
    run = make_run(folder, examples=30, snapshots=3, tokens=24, windows=2)
    keep_weights(run, 2, make_tiny_model(folder / "model"))
    return run


@needs_onnx
@pytest.mark.timeout(600)
def test_the_file_computes_what_torch_does_at_any_batch_and_length(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "qa.onnx"
    assert main(["export", str(run.path), "-o", str(file)]) == ExitCode.OK
    found = FOUND.search(capsys.readouterr().out)
    assert found is not None
    assert 30 <= int(found[1]) <= 200
    assert float(found[2]) <= 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["qa.onnx"]
    assert file.stat().st_mode & 0o077 == 0
    weights = run.checkpoints / "epoch-0002"
    compare = [sys.executable, "-P", "-c", COMPARE, str(weights), str(file)]
    done = subprocess.run(compare, capture_output=True, text=True, check=False, env=uncounted_environment())
    assert done.returncode == 0, done.stderr
    differences = np.array([float(line) for line in done.stdout.split()])
    assert len(differences) == 3
    assert (differences < 1e-5).all()


SPOILED = """
import sys
import engine.learning.onnx_export as made
plain = made.OnnxModel.forward
def wrong(self, **given):
    out = plain(self, **given)
    out.end_logits = out.end_logits + 2e-4
    return out
made.OnnxModel.forward = wrong
sys.exit(made.main())
"""


@needs_onnx
@pytest.mark.timeout(600)
def test_a_file_that_differs_is_refused_and_nothing_is_left(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoiled = tmp_path / "spoiled"
    spoiled.mkdir()
    (spoiled / "spoiled_export.py").write_text(SPOILED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(spoiled), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(onnx_kind, "PROCESS", "spoiled_export")
    out = tmp_path / "out"
    assert main(["export", str(run.path), "-o", str(out), "--onnx"]) == ExitCode.RUN_FAILED
    printed = capsys.readouterr().err
    assert re.search(r"logits differ from torch's by 2\.0e-04 on \d+ windows, more than 1e-04; it is not kept", printed)
    assert [path.name for path in tmp_path.iterdir()] == ["spoiled"]


def test_a_long_comparison_says_how_far_it_is_and_the_time_left() -> None:
    from engine.learning.onnx_export import progress_lines

    times = iter([0.0, 1.0, 10.0, 12.0, 20.0, 40.0])
    sent: list[onnx_kind.Answer] = []
    progress = progress_lines(sent.append, "torch", clock=lambda: next(times))
    for done in (10, 50, 60, 100, 200):
        progress(done, 200)
    assert [answer.line for answer in sent if isinstance(answer, onnx_kind.Progress)] == [
        "ONNX: torch has scored 50 of 200 windows, about 30 s left",
        "ONNX: torch has scored 100 of 200 windows, about 20 s left",
    ]


def test_a_process_that_breaks_off_is_one_line(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnx_kind, "PACKAGES", ())
    monkeypatch.setattr(onnx_kind, "PROCESS", "engine.learning.no_such_module")
    assert main(["export", str(run.path), "-o", str(tmp_path / "qa.onnx")]) == ExitCode.RUN_FAILED
    (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("bertqa-tui: ")]
    assert "the ONNX export broke off (exit code 1): " in line
    assert "no_such_module" in line
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_way_to_install_it_is_said(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_kind, "PACKAGES", ("onnx_of_another_world",))
    for request in (Request(run, tmp_path / "a.onnx"), Request(run, tmp_path / "a", onnx=True)):
        with pytest.raises(UsageError, match=r"needs onnx_of_another_world.*pip install 'bertqa-tui\[onnx\]'"):
            write_export(request)
    assert list(tmp_path.iterdir()) == []
