"""A user's data file with some labels corrected: in its own layout where it can hold the change, else as SQuAD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from engine.data.examples import Example, make_dataset, split_bytes, squad_bytes
from engine.data.formats.raw import RawQuestion, is_row
from engine.data.formats.source import GZIP, read_bytes, unpacked
from engine.data.issues import DataIssues
from engine.data.squad import examples_of
from engine.data.write_back.files import DataFile
from engine.data.write_back.labels import Correction, NotWritable, correct, corrected
from engine.errors import DataError

Key = tuple[str, str]
"""Half (train or eval) and id of an example."""


class Rewritten(Struct, frozen=True):
    """A file's new content. `layout` says in words what it is; `fallback` why it is not the file's own layout.

    `places` says of each corrected example where its question stands in the user's file.
    """

    content: bytes
    layout: str
    places: Mapping[Key, str]
    fallback: str = ""


def rewrite(
    path: Path, corrections: Mapping[Key, Correction], *, use: tuple[str, ...] = (), columns: str | None = None
) -> Rewritten:
    """The content of the data file `path` with the corrections of its labels; `use` and `columns` as for `read_halves`.

    Each question is found again by reading the file as a run does, so that ids are the run's. What is written is
    read again and compared with what it should say. Raises DataError where the file can't be read, or lacks an
    example of `corrections`.
    """
    data = read_bytes(path)
    data = unpacked(path, data) if data.startswith(GZIP) else data
    file = DataFile(path, data)
    origins: dict[str, list[list[RawQuestion]]] = {}
    halves = examples_of(file.values, DataIssues(), use=use, columns=columns, origins=origins)
    asked = corrections
    if len(halves) == 1:  # the file has no split of its own, or one half of it is used
        corrections = {(next(iter(halves)), ident): correction for (_, ident), correction in corrections.items()}
    places = {
        (half, example.id): origins[half][number][0].place
        for half, examples in halves.items()
        for number, example in enumerate(examples)
        if (half, example.id) in corrections
    }
    if missing := corrections.keys() - places.keys():
        raise DataError(f"{path}: it has no question {min(missing)[1]!r}.", hint="Is this the run's data set?")
    places = {key: places[next(iter(halves)) if len(halves) == 1 else key[0], key[1]] for key in asked}
    wanted = {
        half: corrected_half(examples, {ident: c for (role, ident), c in corrections.items() if role == half})
        for half, examples in halves.items()
    }
    why = ""
    try:
        content = _in_own_layout(file, halves, origins, corrections)
        if _same(examples_of(DataFile(path, content).values, DataIssues(), use=use, columns=columns), wanted):
            return Rewritten(content, file.kind, places)
        why = "its layout can't hold every change"
    except NotWritable as error:
        why = str(error)
    except DataError:
        why = "what is left of it is not a data set"
    return Rewritten(squad_content(wanted), "SQuAD JSON", places, why)


def squad_content(halves: Mapping[str, Sequence[Example]]) -> bytes:
    """Examples as SQuAD JSON: under `train` and `validation` where there are two halves."""
    if len(halves) == 2:
        return split_bytes(make_dataset(halves["train"], halves["eval"]))
    (examples,) = halves.values()
    return squad_bytes(examples)


def _in_own_layout(
    file: DataFile,
    halves: Mapping[str, Sequence[Example]],
    origins: Mapping[str, Sequence[Sequence[RawQuestion]]],
    corrections: Mapping[Key, Correction],
) -> bytes:
    changed, dropped = set(), set()
    for half, examples in halves.items():
        for example, raws in zip(examples, origins[half], strict=True):
            correction = corrections.get((half, example.id))
            for raw in raws if correction is not None else ():
                assert correction is not None
                if raw.source is None:
                    raise NotWritable("its questions do not stand by themselves")
                if correction.drop:
                    dropped.add(id(raw.source))
                else:
                    correct(raw.source, example.context, correction, row=is_row(raw.source))
                    changed.add(id(raw.source))
    return file.written(changed, dropped)


def corrected_half(examples: Sequence[Example], corrections: Mapping[str, Correction]) -> list[Example]:
    """The examples after corrections by their ids, without those that are dropped."""
    found = (corrected(example, corrections.get(example.id)) for example in examples)
    return [example for example in found if example is not None]


def _same(found: Mapping[str, Sequence[Example]], wanted: Mapping[str, Sequence[Example]]) -> bool:
    """Whether both say the same; ids apart, for a file without ids counts its questions."""

    def said(example: Example) -> tuple[object, ...]:
        return example.question, example.context, tuple(dict.fromkeys(example.answers)), example.is_impossible

    return found.keys() == wanted.keys() and all(
        list(map(said, found[half])) == list(map(said, wanted[half])) for half in wanted
    )
