"""The README is true: its commands are those of the command line, its lines parse, its Python example runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.tiny_model import make_tiny_model
from tui.cli.main import USAGES, group

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(?:sh|bash)\n(.*?)```", README, re.DOTALL)
CALLS = sorted(
    {
        call.strip()
        for block in BLOCKS
        for line in block.splitlines()
        for call in re.findall(r"(?:^|[;&|(] ?|nohup |bin/)(bertqa-tui(?: [^#|;&)>]*)?)", line.strip())
    }
)


def test_the_readme_lists_the_commands_as_help_does() -> None:
    table = README.partition("<!-- commands -->")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `bertqa-tui ?([^`]*)` \| (.*) \|$", table, re.MULTILINE)
    listed = {form: text for form, text in rows}
    wanted = {form.removesuffix(" [OPTIONS]"): text for form, text in USAGES if "COMMAND" not in form}
    context = click.Context(group, info_name="bertqa-tui")
    for name in group.list_commands(context):
        command = group.commands[name]
        arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
        wanted[" ".join([name, *arguments])] = command.help or ""
    assert listed == wanted


def test_there_are_calls_to_check() -> None:
    assert len(CALLS) > 8


@pytest.mark.parametrize("call", CALLS)
def test_every_call_in_the_readme_parses(call: str) -> None:
    words = shlex.split(re.sub(r"\$\{?\w+\}?", "x", call.rstrip("& ")))[1:]
    context = group.make_context("bertqa-tui", words)
    with context:
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, list(rest), parent=context)


def run_example(example: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_python_examples_run(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (training,) = [example for example in examples if "start(" in example]
    (asking,) = [example for example in examples if "Reader(" in example]
    run = repr(str(tmp_path / "run"))
    # One epoch of a tiny model: what is tested is that it runs, not what it learns.
    model = repr(str(make_tiny_model(tmp_path / "model")))
    lines = run_example(
        training.replace("epochs=5", f"epochs=1, early_snapshots=False, model={model}, max_length=256, run_dir={run}")
    )
    assert lines[0].startswith("untrained ")
    assert any(line.startswith("epoch 1 ") for line in lines)
    lines = run_example(asking.replace('"runs/remedies"', run))
    assert re.search(r" \d+ \d+ [01]\.\d\d$", lines[0])
    assert len(lines) == 5
