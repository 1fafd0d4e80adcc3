"""`export RUN -o DIR --card`: the Hub's own code reads the metadata back, and nothing from outside is interpreted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results

from engine.errors import ExitCode, UsageError
from engine.export.card import licence_of_base
from engine.export.curve import curve_svg
from engine.export.kinds import Request, write_export
from engine.export.usage import USAGE
from engine.rundir.checkpoints import find_weights, snapshot_infos
from engine.rundir.layout import RunDir, RunInfo
from tests.fake_run import make_run
from tests.kept_weights import keep_weights
from tui.cli.main import main


def kept_run(folder: Path, *, has_impossible: bool = False) -> RunDir:
    """Snapshots 0 to 3, the last the best, with its weights."""
    run = make_run(folder, examples=40, snapshots=4, noise=4.0, has_impossible=has_impossible)
    keep_weights(run, 3)
    return run


def info_of(run: RunDir) -> RunInfo:
    info = run.info
    assert info is not None
    return info


def test_the_hubs_own_code_reads_the_scores_back(tmp_path: Path) -> None:
    run = kept_run(tmp_path)
    out = tmp_path / "my-model"
    assert main(["export", str(run.path), "-o", str(out), "--card"]) == ExitCode.OK
    metadata = metadata_load(out / "README.md")
    assert metadata is not None
    assert metadata["pipeline_tag"] == "question-answering"
    assert metadata["library_name"] == "transformers"
    name, results = model_index_to_eval_results(metadata["model-index"])
    assert name == "my-model"
    snapshot = find_weights(run).snapshot
    assert snapshot is not None
    assert {(r.metric_name, r.metric_type, r.metric_value) for r in results} == {
        ("EM", "exact_match", round(snapshot.metrics.exact_match, 4)),
        ("F1", "f1", round(snapshot.metrics.f1, 4)),
    }
    data = info_of(run).data[-1]
    assert {r.dataset_name for r in results} == {Path(data.path).name}
    assert {(r.dataset_args or {})["sha256"] for r in results} == {data.sha256}
    # What is read back makes the same card again.
    card = ModelCard.load(out / "README.md")
    assert card.data.eval_results == results
    assert ModelCard(f"---\n{card.data.to_yaml()}\n---\n{card.text}").data.to_dict() == card.data.to_dict()


def test_a_set_with_unanswerable_questions_has_its_scores_apart_and_the_threshold(tmp_path: Path) -> None:
    run = kept_run(tmp_path, has_impossible=True)
    write_export(Request(run, tmp_path / "out", card=True))
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert [result.metric_name for result in card.data.eval_results or ()] == [
        "EM", "F1", "HasAns EM", "HasAns F1", "NoAns EM", "NoAns F1",
    ]  # fmt: skip
    assert "The threshold that maximises F1 on this set is -1.5000 (F1 72.5)" in card.text
    assert '"no answer" wins above null odds of ' in card.text
    assert "expected calibration error is " in card.text


def test_the_card_says_how_it_was_trained_and_how_to_use_it(tmp_path: Path) -> None:
    run = kept_run(tmp_path)
    write_export(Request(run, tmp_path / "out", card=True))
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    info = info_of(run)
    for line in (
        f"| `lr` | `{info.lr:g}` |",
        f"| `batch_size` | `{info.config.batch_size}` |",
        f"| torch | `{info.versions['torch']}` |",
        f"`{info.data[0].sha256}`",
        USAGE.replace('"my-model"', '"out"'),
        "![EM and F1 over the epochs of training](curve.svg)",
    ):
        assert line in text
    assert str(tmp_path) not in text


def test_the_curve_is_a_picture_with_the_epoch_marked(tmp_path: Path) -> None:
    run = kept_run(tmp_path)
    infos = snapshot_infos(run)
    root = ET.fromstring(curve_svg(infos, infos[2]))
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert infos[2].label in texts
    assert f"● F1 {infos[-1].metrics.f1:.1f}" in texts
    assert f"■ EM {infos[-1].metrics.exact_match:.1f}" in texts
    lines = [element.get("points", "").split() for element in root.iter() if element.tag.endswith("polyline")]
    assert [len(points) for points in lines] == [len(infos)] * 2


def test_names_from_outside_stay_names(tmp_path: Path) -> None:
    run = kept_run(tmp_path)
    info = info_of(run)
    evil = "a`b|<script>\n# Title\n---\nlicense: mit"
    data = tuple(msgspec.structs.replace(one, path=f"/home/me/{evil}.json") for one in info.data)
    model = msgspec.structs.replace(info.model, name=evil)
    changed = msgspec.structs.replace(info, data=data, model=model)
    run.run_file.write_bytes(msgspec.json.encode(changed))
    write_export(Request(run, tmp_path / "out", card=True, name=f"x/{evil}"))
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    card = ModelCard(text)
    assert metadata_load(tmp_path / "out" / "README.md").get("license") is None  # type: ignore[union-attr]
    below = card.text
    assert "\n# Title" not in below
    assert "<script>" not in below.replace("`a'b\u00a6<script>", "")
    assert "/home/me" not in text


@pytest.mark.parametrize(("licence", "found"), [("apache-2.0", "apache-2.0"), ("[x](y)", None), ("", None)])
def test_the_licence_comes_from_the_base_models_own_card(tmp_path: Path, licence: str, found: str | None) -> None:
    run = kept_run(tmp_path)
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text(f"---\nlicense: '{licence}'\n---\nA model.")
    info = info_of(run)
    config = msgspec.structs.replace(info.config, model=str(base))
    model = msgspec.structs.replace(info.model, name=str(base), revision=None)
    assert licence_of_base(msgspec.structs.replace(info, config=config, model=model)) == found


def test_weights_without_scores_have_no_card(tmp_path: Path) -> None:
    run = kept_run(tmp_path)
    keep_weights(run, 9)
    with pytest.raises(UsageError, match=r"no scores of step 90 .* yet"):
        write_export(Request(run, tmp_path / "out", card=True, snapshot="last"))
    assert not (tmp_path / "out").exists()


def test_a_run_whose_examples_are_gone_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = kept_run(tmp_path)
    run.examples_file.unlink()
    run.features_file.unlink()
    assert main(["export", str(run.path), "-o", str(tmp_path / "out"), "--card"]) == ExitCode.BAD_DATA
    assert "the run's examples can't be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_card_is_for_a_folder_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = kept_run(tmp_path)
    assert main(["export", str(run.path), "-o", str(tmp_path / "out.csv"), "--card"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "bertqa-tui: --card has no meaning for a .csv file. Leave it out.\n"
