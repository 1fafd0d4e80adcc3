"""Screens as pictures: by the key, and by `export` without a terminal."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from engine.errors import ExitCode
from engine.rundir.layout import RunDir
from tests.fake_app import make_app, opened, press, screen_text
from tests.fake_run import make_run
from tui.cli.main import main
from tui.drawing.svg import picture_name, save_picture, svg_of
from tui.screens.registry import about


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("pictures"), examples=12, snapshots=4, tokens=40)


def seed_runs(folder: Path, count: int) -> list[RunDir]:
    """Runs on one data set that differ in their seed alone."""
    runs = [
        make_run(folder, name=f"seed-{seed}", examples=20, snapshots=5, seed=seed, noise=0.4 + 0.3 * seed)
        for seed in range(1, count + 1)
    ]
    for run in runs:
        config = json.loads(run.config_file.read_text()) | {"dataset": str(folder / "seed-1-data.json")}
        run.config_file.write_text(json.dumps(config))
    return runs


def text_of(path: Path) -> str:
    return "\n".join("".join(node.itertext()) for node in ET.parse(path).iter() if node.tag.endswith("}text")).replace(
        "\xa0", " "
    )


async def test_the_key_writes_what_is_seen_and_overwrites_nothing(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = make_app(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await press(pilot, "home", "P")
        name = f"{run.name}-journey-snapshot-0"
        assert f"wrote {name}.svg" in screen_text(app)
        first = (tmp_path / f"{name}.svg").read_bytes()
        await press(pilot, "down", "P")
        assert f"wrote {name}-2.svg" in screen_text(app)
        await press(pilot, "2", "end", "P")
    assert (tmp_path / f"{name}.svg").read_bytes() == first
    assert (tmp_path / f"{name}-2.svg").read_bytes() != first
    assert "[1 Journey" in text_of(tmp_path / f"{name}.svg")
    assert "[2 Spans" in text_of(tmp_path / f"{run.name}-spans-snapshot-3.svg")
    assert len(list(tmp_path.iterdir())) == 3


async def test_a_folder_that_takes_no_picture_is_said(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setattr(Path, "cwd", lambda: gone)
    app = make_app(run)
    async with app.run_test(size=(300, 30)) as pilot:
        await opened(pilot)
        gone.rmdir()
        await press(pilot, "P")
        assert "cannot write" in screen_text(app)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("remedies", "journey"), "remedies-journey"),
        (("../../etc/passwd", "map"), "etc-passwd-map"),
        ((".hidden\x1b]0;x\x07",), "hidden-0-x"),
        (("\u202etxt", "/"), "txt"),
        (("", "..."), "screen"),
        (("a" * 500,), "a" * 60),
    ],
)
def test_names_are_harmless(parts: tuple[str, ...], name: str) -> None:
    assert picture_name(*parts) == name


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "x.svg").symlink_to(tmp_path / "elsewhere")
    assert save_picture(tmp_path, "x", "<svg></svg>").name == "x-2.svg"
    assert not (tmp_path / "elsewhere").exists()


def test_what_no_xml_may_hold_is_replaced() -> None:
    assert ET.fromstring(svg_of("<svg>a\x00\x1b\uffff\ud800b</svg>")).text == "a\ufffd\ufffd\ufffd\ufffdb"


@pytest.mark.parametrize(
    "screen", ["journey", "spans", "curves", "map", "compare", "runs", "heatmap", "trust", "groups"]
)
def test_every_screen_is_exported(run: RunDir, tmp_path: Path, screen: str) -> None:
    out = tmp_path / "x.svg"
    assert main(["export", str(run.path), "-o", str(out), "--screen", screen, "--size", "150x40"]) == ExitCode.OK
    text = text_of(out)
    assert f"[{about(screen).key} " in text
    assert "computing" not in text
    assert b"https://cdn" not in out.read_bytes()
    assert b'url("http' not in out.read_bytes()


def test_example_snapshot_and_size_are_those_asked_for(run: RunDir, tmp_path: Path) -> None:
    asked = ["export", str(run.path), "-o", str(tmp_path / "x.svg"), "--size", "150x40", "--theme", "light"]
    assert main([*asked, "--example", "fake-5", "--snapshot", "1"]) == ExitCode.OK
    text = text_of(tmp_path / "x.svg")
    assert "fake-5" in text or "6/12" in text or "6 of 12" in text
    assert main([*asked, "--example", "fake-5"]) == ExitCode.CANNOT_WRITE  # it is there


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--screen", "no\x1b[31m"], "no such screen"),
        (["--example", "nobody\x1b[2J"], "no evaluation example"),
        (["--snapshot", "99"], "count from 0 to 3"),
        (["--size", "1x1"], "out of range"),
        (["--size", "9999x9999"], "out of range"),
        (["--size", "large"], "not a size"),
        (["--theme", "pink"], "pink"),
        (["--tokens"], "no meaning"),
        (["--overlay", "nothing"], "not a run"),
        (["--screen", "curves", "--spread", "std"], "Name others"),
    ],
)
def test_what_is_not_there_is_said(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    assert main(["export", str(run.path), "-o", str(tmp_path / "x.svg"), *options]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert complaint in said
    assert "\x1b" not in said
    assert not list(tmp_path.iterdir())


def test_curves_of_several_runs_in_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    runs = seed_runs(tmp_path / "runs", 3)
    first, others = runs[0].name, [word for run in runs[1:] for word in ("--overlay", run.name)]
    asked = ["export", first, "--screen", "curves", *others, "--size", "100x30"]
    assert main([*asked, "-o", "each.svg"]) == ExitCode.OK
    assert all(f"seed {seed}" in text_of(Path("each.svg")) for seed in (1, 2, 3))
    assert main([*asked, "-o", "mean.svg", "--spread", "std"]) == ExitCode.OK
    text = text_of(Path("mean.svg"))
    assert "3 seeds" in text
    assert "mean of seeds ± standard deviation" in text
    assert main(["export", first, "-o", "one.svg", *others]) == ExitCode.USAGE
    assert "Use --screen curves" in capsys.readouterr().err
    assert main(["export", first, "-o", "x.csv", *others]) == ExitCode.USAGE
    assert "--overlay has no meaning for a .csv file" in capsys.readouterr().err


def test_pictures_alone_take_their_options(run: RunDir, tmp_path: Path) -> None:
    assert main(["export", str(run.path), "-o", str(tmp_path / "x.csv"), "--screen", "map"]) == ExitCode.USAGE
