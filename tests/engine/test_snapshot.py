"""Tensors and snapshots on disk: whole, lazily read, damaged ones refused."""

from __future__ import annotations

import itertools
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from engine.errors import DataError
from engine.events import SnapshotTaken
from engine.launch import attach
from engine.rundir.snapshot import COLUMNS, MISSING, Snapshot, snapshot_event, snapshot_name
from engine.storage.tensors import Tensors, write_tensors
from tests.fake_run import append_snapshot, fake_logits, fake_set, make_run


def test_what_was_written_is_read_in_slices_and_by_others(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "flat": np.arange(10, dtype=np.float32),
        "square": np.arange(12, dtype=np.int64).reshape(4, 3),
        "strided": np.arange(20, dtype=np.int32)[::2],
        "bytes": np.array([1, 0, 255], np.uint8),
        "empty": np.zeros((0, 3), np.float32),
        "one": np.array(5, np.int8),
    }
    write_tensors(tmp_path / "file", arrays, {"é": "🙂"})
    with Tensors(tmp_path / "file") as tensors:
        assert tensors.metadata == {"é": "🙂"}
        assert set(tensors.names) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(tensors.read(name), array)
        np.testing.assert_array_equal(tensors.read("flat", 3, 7), [3, 4, 5, 6])
        np.testing.assert_array_equal(tensors.read("square", 1, 3), arrays["square"][1:3])
        assert tensors.read("flat", 8, 99).tolist() == [8, 9]
        assert tensors.read("flat", 7, 3).tolist() == []
        with pytest.raises(KeyError):
            tensors.read("nothing")
        for name, array in arrays.items():
            out = np.full(array.shape, 9, array.dtype)
            tensors.read_into(name, out)
            np.testing.assert_array_equal(out, array)
        with pytest.raises(ValueError, match="not"):
            tensors.read_into("square", np.zeros((3, 4), np.int64))
        with pytest.raises(ValueError, match="not"):
            tensors.read_into("square", np.zeros((4, 3), np.int32))
    for name, array in load_file(tmp_path / "file").items():
        np.testing.assert_array_equal(array, arrays[name])


def test_truncation_at_every_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, {"a": np.arange(4, dtype=np.float32)}, {"k": "v"})
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="damaged file"):
            Tensors(path)


def test_a_file_cut_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_tensors(path, {"a": np.arange(4, dtype=np.float32)}, {})
    with Tensors(path) as tensors:
        os.truncate(path, path.stat().st_size - 4)
        with pytest.raises(DataError, match="ends early"):
            tensors.read("a")
        with pytest.raises(DataError, match="ends early"):
            tensors.read_into("a", np.zeros(4, np.float32))


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99]}}',
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[-4,12]}}',
        b'{"a":{"dtype":"F32","shape":[-2,-2],"data_offsets":[0,16]}}',
        b'{"a":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}}',
        b'{"a":{"dtype":"object","shape":[4],"data_offsets":[0,16]}}',
        b'{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,16]}}',
        b'{"a":{"dtype":"F32","shape":"4","data_offsets":[0,16]}}',
        b'{"__metadata__":{"a":1}}',
        b"[" * 60_000,
        b"[]",
        b"",
    ],
)
def test_hostile_headers(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(DataError, match="damaged file"):
        Tensors(path)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_changed_bytes_never_crash_a_reader(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("changed")
    path = folder / "file"
    write_tensors(path, {"a": np.arange(4, dtype=np.float32), "b": np.zeros((2, 2), np.int8)}, {"k": "v"})
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    with suppress(DataError), Tensors(path) as tensors:
        for name in tensors.names:
            tensors.read(name)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name in ("pipe", "link", "."):
        with pytest.raises(OSError, match=r"regular file|symbolic links"):
            Tensors(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Tensors(tmp_path / "nothing")


def test_a_snapshot_holds_what_was_written(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=7, snapshots=2, live=True)
    made = fake_set(7)
    info = append_snapshot(run, made, 2, progress=0.5)
    start_logits, end_logits = fake_logits(made, progress=0.5, seed=2)
    with Snapshot(run.path / snapshot_name(2)) as snapshot:
        assert snapshot.info == info
        assert snapshot.n_examples == 7
        np.testing.assert_array_equal(snapshot.logits()[0], start_logits)
        np.testing.assert_array_equal(snapshot.logits(5, 9)[1], end_logits[5:9])
        for name, dtype in COLUMNS.items():
            column = snapshot.column(name)
            assert column.shape == (7,)
            assert column.dtype == np.dtype(dtype)
    assert (run.path / snapshot_name(2)).stat().st_mode & 0o777 == 0o600


def test_files_that_are_no_snapshots(tmp_path: Path) -> None:
    info = '{"index":0,"label":"x","step":0,"epoch":0,"time":0,"metrics":{}}'
    for number, (arrays, metadata) in enumerate(
        [
            ({"a": np.zeros(1, np.float32)}, {}),
            ({"a": np.zeros(1, np.float32)}, {"snapshot": "not json"}),
            ({"a": np.zeros(1, np.float32)}, {"snapshot": info}),
        ]
    ):
        write_tensors(tmp_path / str(number), arrays, metadata)
        with pytest.raises(DataError, match="not a snapshot"):
            Snapshot(tmp_path / str(number))


def test_descriptors_are_not_kept_by_readers_that_are_forgotten(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=2, snapshots=1)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        Snapshot(run.path / snapshot_name(0)).column("score")
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_events_name_the_kind_they_are() -> None:
    event = msgspec.json.decode(
        b'{"type":"snapshot","index":1,"label":"x","step":1,"epoch":1.0,"file":"f","metrics":'
        b'{"examples":1,"start_accuracy":1,"end_accuracy":1,"exact_match":1,"f1":1}}',
        type=SnapshotTaken,
    )
    assert event.type == "snapshot"


def test_a_snapshot_without_a_newer_column_stays_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path)
    path = run.path / snapshot_name(0)
    monkeypatch.setattr(
        "engine.rundir.snapshot.COLUMNS", {**COLUMNS, "margin": "<f4", "rank": "<i4", "confident": "u1"}
    )
    with Snapshot(path) as snapshot:
        count = snapshot.n_examples
        assert np.isnan(snapshot.column("margin")).all()
        assert snapshot.column("margin").shape == (count,)
        assert snapshot.column("margin", 0, 2).shape == (2,)
        assert snapshot.column("rank").tolist() == [-1] * count
        assert snapshot.column("confident").tolist() == [0] * count
        assert snapshot.column("score").shape == (count,)
        with pytest.raises(KeyError):
            snapshot.column("nothing")


def test_a_snapshot_of_a_newer_version_is_read_as_far_as_it_is_known(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    path = run.path / snapshot_name(0)
    with Tensors(path) as tensors:
        arrays = {name: tensors.read(name) for name in tensors.names if name != "iou"}
        info = msgspec.json.decode(tensors.metadata["snapshot"])
    arrays["margin"] = np.zeros(len(arrays["score"]), np.float32)
    info["metrics"]["calibration"] = 0.5
    info["schema"] = 99
    write_tensors(path, arrays, {"snapshot": msgspec.json.encode(info).decode(), "other": "x"})
    with Snapshot(path) as snapshot:
        assert snapshot.info.metrics.f1 >= 0
        assert np.isnan(snapshot.column("iou")).all()
        assert snapshot.column("margin").tolist() == [0.0] * snapshot.n_examples


def test_a_snapshot_of_a_sample(tmp_path: Path) -> None:
    """Columns are as long as any; what is not scored is missing, in the columns and in the scores of tokens."""
    whole = make_run(tmp_path, name="whole", examples=10, snapshots=2, windows=3, has_impossible=True)
    run = make_run(tmp_path, name="sampled", examples=10, snapshots=2, windows=3, has_impossible=True, sampled=(1,))
    made = fake_set(10, windows=3, has_impossible=True)
    with (
        Snapshot(whole.path / snapshot_name(1)) as of_all,
        Snapshot(run.path / snapshot_name(1)) as sampled,
        Snapshot(run.path / snapshot_name(0)) as before,
    ):
        assert sampled.info.sampled_of == 10
        assert sampled.info.sample_text == "2 of 10 scored"
        assert snapshot_event(sampled.info).sample_text == "2 of 10 scored"
        assert before.info.sample_text == ""
        assert before.scored.all()
        assert np.flatnonzero(sampled.scored).tolist() == [0, 5]
        for name, dtype in COLUMNS.items():
            found, expected = sampled.column(name), of_all.column(name)
            assert len(found) == 10
            np.testing.assert_array_equal(found[sampled.scored], expected[sampled.scored], err_msg=name)
            missing = np.full(8, MISSING[np.dtype(dtype).kind], dtype)
            np.testing.assert_array_equal(found[~sampled.scored], missing, err_msg=name)
        assert sampled.prediction(1) is None
        assert sampled.prediction(5) == of_all.prediction(5)
        scored = np.repeat(np.isin(made.feature_example, [0, 5]), np.diff(made.token_offset))
        total = len(scored)
        for lo, hi in [(0, total), (5, 6), *itertools.pairwise(made.token_offset.tolist()), (total // 3, total // 2)]:
            for found, expected in zip(sampled.logits(lo, hi), of_all.logits(lo, hi), strict=True):
                wanted = np.where(scored[lo:hi], expected, np.nan)
                np.testing.assert_array_equal(found, wanted.astype(np.float32))
    assert (run.path / snapshot_name(1)).stat().st_size < (whole.path / snapshot_name(1)).stat().st_size / 2
    # Users of the library learn which examples have scores.
    data = attach(run.path)
    assert len(data.snapshot(1).scores("fake-5").tokens) > 0
    with pytest.raises(DataError, match=r"fake-4: not scored at snapshot 1 \(2 of 10 scored\)"):
        data.snapshot(1).scores("fake-4")


def test_a_damaged_sample_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, examples=10, snapshots=1, sampled=(0,))
    path = run.path / snapshot_name(0)
    with Tensors(path) as tensors:
        arrays, metadata = {name: tensors.read(name) for name in tensors.names}, tensors.metadata
    write_tensors(path, arrays | {"sample_examples": np.array([3, 10])}, metadata)
    with Snapshot(path) as snapshot, pytest.raises(DataError, match="out of range"):
        snapshot.prediction(0)
    del arrays["sample_tokens"]
    write_tensors(path, arrays, metadata)
    with pytest.raises(DataError, match="no sample_tokens"):
        Snapshot(path)
