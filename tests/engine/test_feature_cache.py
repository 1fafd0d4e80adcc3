"""Tokenised windows are found again by what they were made of, and by nothing that anyone else could have put there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.config import RunConfig
from engine.data import feature_cache
from engine.data.examples import Example
from engine.data.feature_cache import cache_folder, features_key, keep_features, read_features
from engine.data.features import Features, build_features
from engine.data.tokenizer import PairTokenizer
from engine.events import AnyEvent, Phase, Warned
from engine.learning.prepare import Task, prepare
from tests.tiny_run import tiny_config


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return tiny_config(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTQA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "LEAST_CHARACTERS", 1)


def same(ours: Features, theirs: Features) -> bool:
    return all(
        getattr(ours, f.name).dtype == getattr(theirs, f.name).dtype
        and np.array_equal(getattr(ours, f.name), getattr(theirs, f.name))
        for f in fields(Features)
    )


def prepared(config: RunConfig) -> tuple[Task, list[AnyEvent]]:
    events: list[AnyEvent] = []
    return prepare(config, events.append), events


def was_kept(events: list[AnyEvent]) -> int:
    return sum(isinstance(event, Phase) and event.detail.endswith("kept from an earlier run") for event in events)


def entries() -> list[Path]:
    return sorted(cache_folder().iterdir()) if cache_folder().exists() else []


def test_a_second_start_tokenises_nothing(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    short = msgspec.structs.replace(config, max_length=30, doc_stride=2)  # an answer is in no window: a warning
    first, events = prepared(short)
    assert not was_kept(events)
    assert len(entries()) == 2

    def never(*_: object, **__: object) -> None:
        raise AssertionError("tokenised again")

    monkeypatch.setattr("engine.learning.prepare.build_features", never)
    second, again = prepared(short)
    assert was_kept(again) == 2
    assert same(first.train, second.train)
    assert same(first.eval, second.eval)
    assert first.max_answer_length == second.max_answer_length
    warned = [event for event in events if isinstance(event, Warned)]
    assert warned == [event for event in again if isinstance(event, Warned)]
    assert second.train.input_ids.flags.writeable


def test_it_can_be_switched_off(config: RunConfig) -> None:
    prepared(msgspec.structs.replace(config, feature_cache=False))
    assert entries() == []


def test_little_data_is_not_kept(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "LEAST_CHARACTERS", 1_000_000)
    prepared(config)
    assert entries() == []


def test_the_key_depends_on_all_that_the_windows_do(config: RunConfig) -> None:
    task, _ = prepared(config)
    examples, tokenizer = task.dataset.train, task.tokenizer

    def key(
        examples: tuple[Example, ...] = examples,
        tokenizer: PairTokenizer = tokenizer,
        max_length: int = 128,
        doc_stride: int = 32,
    ) -> str:
        return features_key(examples, tokenizer, max_length=max_length, doc_stride=doc_stride)

    file = Path(config.model) / "tokenizer.json"
    other = (
        file.read_text()
        .replace('"lowercase":true', '"lowercase":false')
        .replace('"lowercase": true', '"lowercase": false')
    )
    assert other != file.read_text()
    changed_file = Path(config.model).parent / "tokenizer.json"
    changed_file.write_text(other)
    changed = msgspec.structs.replace(examples[0], context=examples[0].context + " ")
    keys = [
        key(),
        key((changed, *examples[1:])),
        key(examples[1:]),
        key(tokenizer=PairTokenizer.from_file(changed_file)),
        key(max_length=127),
        key(doc_stride=31),
    ]
    assert len(set(keys)) == len(keys)
    assert key(tokenizer=PairTokenizer.from_file(file)) == keys[0]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def link(path: Path) -> None:
    real = path.with_name("real")
    path.rename(real)
    path.symlink_to(real)


def open_to_others(path: Path) -> None:
    path.chmod(0o666)


def folder_open_to_others(path: Path) -> None:
    path.parent.chmod(0o755)


def under_another_key(path: Path) -> None:
    first, second = sorted(path.parent.iterdir())
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def no_tensors(path: Path) -> None:
    path.write_bytes(b"\x80\x04K\x01.")


@pytest.mark.parametrize(
    "harm", [flip, cut, link, open_to_others, folder_open_to_others, under_another_key, no_tensors]
)
def test_what_is_not_as_it_was_written_is_ignored(config: RunConfig, harm: Callable[[Path], None]) -> None:
    first, _ = prepared(config)
    (path, _) = entries()
    harm(path)
    second, events = prepared(config)
    assert was_kept(events) < 2
    assert same(first.train, second.train)
    assert same(first.eval, second.eval)


def test_what_another_user_owns_is_ignored(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(config)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    _, events = prepared(config)
    assert not was_kept(events)


def test_a_folder_that_cannot_be_made_is_no_trouble(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTQA_CACHE_DIR", "/dev/null/cache")
    _, events = prepared(config)
    assert not was_kept(events)


def test_the_entries_used_longest_ago_go_first(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = prepared(config)
    for path in entries():
        path.unlink()
    size = 0
    for number in range(4):
        if number == 3:
            # Room for three entries; the first was used since, so the second goes.
            monkeypatch.setattr(feature_cache, "MAX_BYTES", 3 * size)
            assert read_features("0", len(task.examples)) is not None
        keep_features(f"{number}", task.eval, [])
        size = entries()[0].stat().st_size
        for age, path in enumerate(entries()):
            os.utime(path, ns=(10**18 + age, 10**18 + age)) if number < 3 else None
    assert [path.name for path in entries()] == ["0.safetensors", "2.safetensors", "3.safetensors"]


def test_windows_that_do_not_fit_the_data_are_ignored(config: RunConfig) -> None:
    task, _ = prepared(config)
    keep_features("0", build_features(task.examples, task.tokenizer, max_length=128, doc_stride=32), ["a"])
    assert read_features("0", len(task.examples) + 1) is None
    held = read_features("0", len(task.examples))
    assert held is not None
    assert held[1] == ["a"]
