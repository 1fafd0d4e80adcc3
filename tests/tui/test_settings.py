"""The user's config file in the app: keys, theme and ASCII, and the errors of a wrong one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UsageError
from engine.rundir.layout import RunDir
from tests.fake_app import opened, press, screen_lines, screen_text, until
from tests.fake_run import make_run
from tui.app import BertQAApp
from tui.settings import Settings, read_settings

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return make_run(tmp_path_factory.mktemp("settings"), examples=6, snapshots=4, tokens=30)


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own config file is looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("NO_COLOR", "COLORFGBG"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config" / "bertqa-tui" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def app_of(run: RunDir, **options: Any) -> Any:
    """The app as `bertqa-tui RUN_DIR` makes it, with the user's settings, but without a memory of places."""
    return BertQAApp(run.path, runs_dir=run.path.parent, remember=False, **options)


async def test_keys_of_the_config_file(run: RunDir, user_file: Path) -> None:
    user_file.write_text('[keys]\nprevious = "b"\nview_spans = "f9,2"\nhelp = "f1"\n\n[train]\nepochs = 3\n')
    app = app_of(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert app.view_state.snapshot == 3
        await press(pilot, "left", "h")  # the former keys do nothing any more
        assert app.view_state.snapshot == 3
        await press(pilot, "b", "b", "right")  # what is not rebound stays
        assert app.view_state.snapshot == 2
        assert "b→ snapshot" in screen_lines(app)[-1]
        for key in ("f9", "2"):
            await press(pilot, key)
            assert app.view_name == "spans"
            await press(pilot, "1")
            assert app.view_name == "journey"
        await press(pilot, "question_mark")
        assert len(app.screen_stack) == 1
        await press(pilot, "f1")
        assert re.search(r"\bb  previous snapshot", screen_text(app))


async def test_the_config_file_of_the_readme(run: RunDir, user_file: Path) -> None:
    user_file.write_text(README.read_text("utf-8").split("```toml\n")[1].split("```")[0])
    app = app_of(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert app.theme_name == "colour-blind"
        await press(pilot, "home")
        assert app.view_state.snapshot == 0
        await press(pilot, "n", "right")
        assert app.view_state.snapshot == 2
        await press(pilot, "l")
        assert app.view_state.snapshot == 2


@pytest.mark.parametrize("theme", ["dark", "light", "colour-blind", "none"])
async def test_the_theme_of_the_config_file(
    theme: str, run: RunDir, user_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wins over what the terminal says; `--theme` wins over it; where it names none, NO_COLOR counts."""
    user_file.write_text(f'theme = "{theme}"\n')
    app = app_of(run, light_background=theme != "light", few_colours=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        assert app.theme_name == theme
        colours = {
            segment.style.color.name
            for strip in app.screen._compositor.render_strips(app.size)
            for segment in strip
            if segment.style is not None and segment.style.color is not None
        }
        bars = {"dark": "#5f87ff", "light": "#005faf", "colour-blind": "#56b4e9"}
        assert {name for name, colour in bars.items() if colour in colours} == {theme} - {"none"}
    assert app_of(run, theme_name="light").theme_name == "light"
    user_file.write_text("")
    assert app_of(run, light_background=True).theme_name == "light"
    monkeypatch.setenv("NO_COLOR", "1")
    assert app_of(run).theme_name == "none"


async def test_ascii_of_the_config_file(run: RunDir, user_file: Path) -> None:
    for text, ascii_only in (("ascii = true\n", True), ("", False)):
        user_file.write_text(text)
        app = app_of(run)
        async with app.run_test(size=(100, 30)) as pilot:
            await opened(pilot)
            assert ("→" not in screen_lines(app)[-1]) is ascii_only


def test_the_file_of_the_command_line_lies_over_the_users_own(user_file: Path, tmp_path: Path) -> None:
    user_file.write_text('theme = "light"\nascii = true\n[keys]\nnext = "n"\nprevious = "b"\n')
    other = tmp_path / "other.toml"
    other.write_text('theme = "none"\n[keys]\nprevious = "p"\n')
    settings = read_settings(other)
    assert (settings.theme, settings.ascii) == ("none", True)
    assert settings.keys == {"next": "n", "previous": "p"}
    assert read_settings(None).keys == {"next": "n", "previous": "b"}
    user_file.unlink()
    assert read_settings(None) == Settings()
    with pytest.raises(UsageError, match=r"absent\.toml: there is no such config file"):
        read_settings(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[keys]\nfly = "f"\n', r"\[keys\] names no command 'fly'"),
        ("[keys]\nnext = 3\n", "keys"),
        ('keys = "n"\n', "keys"),
        ('colour = "blue"\n', "there is no setting 'colour'"),
        ("theme = 3\n", "theme"),
        ("theme = \n", "not a readable TOML file"),
        ('theme = "blue"\n', "there is no theme 'blue'"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str, run: RunDir, user_file: Path) -> None:
    user_file.write_text(text)
    with pytest.raises(UsageError, match=told) as caught:
        app_of(run)
    assert "\n" not in caught.value.message


async def test_how_runs_are_listed_is_remembered(run: RunDir, user_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(user_file.parents[1] / "state"))
    app = BertQAApp(None, runs_dir=run.path.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "fake" in screen_text(app))
        await press(pilot, "s", "t", "t")
        await press(pilot, "q")
    for remember, words in ((True, "by score, resumable alone"), (False, "")):
        app = BertQAApp(None, runs_dir=run.path.parent, remember=remember)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: "1 finished" in screen_text(pilot.app))
            assert words in screen_text(app)
            assert ("by score" in screen_text(app)) is remember
