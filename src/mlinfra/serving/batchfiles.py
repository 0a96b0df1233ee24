"""Files of rows in, files of predictions out, by their suffixes. Everything streams, a chunk of rows at a time."""

from __future__ import annotations

import csv
import importlib
import itertools
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import orjson

from mlinfra.errors import CapabilityError, InputRejected, NotFound, UsageError
from mlinfra.serving.csvrows import typed_rows
from mlinfra.serving.decode import parse_json, parse_strictly
from mlinfra.serving.messages import Refusal

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from mlinfra.modelkit import Schema

_LINES = (".jsonl", ".ndjson", ".jsonlines")
_MISSING = {"f": math.nan, "i": math.nan, "b": math.nan, "U": ""}  # what stands for a rejected row in an array


@dataclass(frozen=True)
class Chunk:
    """Some rows of the input, as the model's schema takes them. `bad` are rows that could not even be read."""

    rows: list[Any]
    bad: dict[int, dict[str, Any]]  # place in the chunk -> what is wrong
    strict: Callable[[], list[Any]] | None = None  # the same rows with every integer as it was written


Reader = Callable[["Path", "Schema | None", int], Iterator[Chunk]]
Predictions = Callable[[], Iterator[list[Any]]]  # a fresh pass over all predictions, a chunk at a time


def reader_for(path: Path) -> Reader:
    """How a file is read. Raises UsageError for an unknown suffix, NotFound, CapabilityError naming a library."""
    found = _READERS.get(path.suffix.lower())
    if found is None:
        raise UsageError("no rows can be read from such a file", given=str(path), allowed=", ".join(_READERS))
    if not path.is_file():
        raise NotFound("no such file", given=str(path))
    return found


def writer_for(path: Path) -> Callable[[Path, Predictions], None]:
    """How a file is written, whole or not at all. Raises UsageError for an unknown suffix."""
    found = _WRITERS.get(path.suffix.lower())
    if found is None:
        raise UsageError("no predictions can be written to such a file", given=str(path), allowed=", ".join(_WRITERS))
    return found


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place when it is complete, and vanishes where it is not."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # noqa: PTH101  as other files; mkstemp makes it private
        os.replace(temporary, path)  # noqa: PTH105  the name is a string here
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108  the name is a string here
        raise


def _needed(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        root = name.partition(".")[0]
        raise CapabilityError(f"{root} is not installed here", given=str(path), todo=f"install {root}") from exc


# reading


def _read_lines(path: Path, _schema: Schema | None, size: int) -> Iterator[Chunk]:
    with path.open("rb") as stream:
        lines = (line for line in stream if line.strip())
        while taken := list(itertools.islice(lines, size)):
            rows, bad = _parsed(taken, parse_json)
            yield Chunk(rows, bad, partial(_strictly, taken))


def _strictly(lines: Sequence[bytes]) -> list[Any]:
    return _parsed(lines, parse_strictly)[0]


def _parsed(lines: Sequence[bytes], parse: Callable[[bytes], Any]) -> tuple[list[Any], dict[int, dict[str, Any]]]:
    rows: list[Any] = []
    bad: dict[int, dict[str, Any]] = {}
    for place, line in enumerate(lines):
        try:
            rows.append(parse(line))
        except Refusal as refusal:
            rows.append(None)
            bad[place] = {"column": None, "value": None, "allowed": refusal.message}
    return rows, bad


def _read_csv(path: Path, schema: Schema | None, size: int) -> Iterator[Chunk]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines: Iterator[list[str]] = (line for line in csv.reader(stream, strict=True) if line)
        try:
            first = next(lines, None)
            names = schema.names if schema else tuple(f"{place}" for place in range(len(first or ())))
            if first is not None and schema and set(first) <= set(schema.names):
                names, first = tuple(first), None
            lines = lines if first is None else itertools.chain([first], lines)
            while taken := list(itertools.islice(lines, size)):
                yield _typed(taken, names, schema)
        except (csv.Error, UnicodeDecodeError) as exc:
            raise InputRejected(f"the file is not CSV: {exc}", rows=[]) from exc


def _typed(lines: list[list[str]], names: tuple[str, ...], schema: Schema | None) -> Chunk:
    allowed = f"{len(names)} cells"
    bad = {
        place: {"column": None, "value": f"{len(line)} cells", "allowed": allowed}
        for place, line in enumerate(lines)
        if len(line) != len(names)
    }
    kept = [line if place not in bad else [""] * len(names) for place, line in enumerate(lines)]
    return Chunk(typed_rows(kept, names, schema), bad)


def _read_npy(path: Path, _schema: Schema | None, size: int) -> Iterator[Chunk]:
    numpy = _needed("numpy", path)
    try:
        array = numpy.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as exc:
        raise InputRejected(f"the file is no array of plain values: {exc}", rows=[]) from exc
    if array.ndim != 2:  # noqa: PLR2004  rows and columns
        raise InputRejected(f"rows make an array of two dimensions; this one has {array.ndim}", rows=[])
    for start in range(0, len(array), size):
        yield Chunk(array[start : start + size].tolist(), {})


def _read_arrow(path: Path, schema: Schema | None, size: int) -> Iterator[Chunk]:
    arrow = _needed("pyarrow", path)
    with arrow.memory_map(str(path)) as source:
        try:
            opened = arrow.ipc.open_file(source)
            batches = (opened.get_batch(place) for place in range(opened.num_record_batches))
        except arrow.ArrowInvalid:
            source.seek(0)
            batches = iter(_opened_stream(arrow, source))
        yield from _rechunked(batches, schema, size)


def _opened_stream(arrow: ModuleType, source: Any) -> Any:
    try:
        return arrow.ipc.open_stream(source)
    except arrow.ArrowInvalid as exc:
        raise InputRejected(f"the file is no Arrow data: {exc}", rows=[]) from exc


def _read_parquet(path: Path, schema: Schema | None, size: int) -> Iterator[Chunk]:
    parquet, arrow = _needed("pyarrow.parquet", path), _needed("pyarrow", path)
    try:
        with parquet.ParquetFile(path) as opened:
            yield from _rechunked(opened.iter_batches(batch_size=size), schema, size)
    except arrow.ArrowInvalid as exc:
        raise InputRejected(f"the file is no Parquet data: {exc}", rows=[]) from exc


def _rechunked(batches: Iterator[Any], schema: Schema | None, size: int) -> Iterator[Chunk]:
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
    while taken := list(itertools.islice(rows, size)):
        yield Chunk(taken if schema else [list(row.values()) for row in taken], {})


_READERS: dict[str, Reader] = {
    **dict.fromkeys(_LINES, _read_lines),
    ".csv": _read_csv,
    ".npy": _read_npy,
    ".arrow": _read_arrow,
    ".parquet": _read_parquet,
}


# writing


def _write_lines(path: Path, predictions: Predictions) -> None:
    with whole(path) as stream:
        for chunk in predictions():
            stream.write(b"".join(orjson.dumps(item) + b"\n" for item in chunk))


def _write_csv(path: Path, predictions: Predictions) -> None:
    width = _shape(predictions).width
    with whole(path) as stream:
        for chunk in predictions():
            cells = ([None] * max(width, 1) if item is None else item if width else [item] for item in chunk)
            lines = (",".join(map(_csv_cell, row)) + "\n" for row in cells)
            stream.write("".join(lines).encode())


def _csv_cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(mark in text for mark in ',"\r\n') else text


def _write_npy(path: Path, predictions: Predictions) -> None:
    numpy = _needed("numpy", path)
    about = _shape(predictions)
    kind = {"f": "<f8", "i": "<i8", "b": "|b1"}.get(about.kind, f"<U{max(about.longest, 1)}")
    if about.gaps and about.kind in "ib":
        kind = "<f8"  # so that a rejected row has a value: NaN
    header = {"descr": kind, "fortran_order": False, "shape": (about.count, *([about.width] if about.width else []))}
    fill = _MISSING[about.kind]
    with whole(path) as stream:
        numpy.lib.format.write_array_header_2_0(stream, header)
        for chunk in predictions():
            rows = [_filled(item, about.width, fill) for item in chunk]
            stream.write(numpy.array(rows, dtype=kind).tobytes())


def _filled(item: Any, width: int, fill: Any) -> Any:
    if item is None:
        return [fill] * width if width else fill
    return [fill if cell is None else cell for cell in item] if width else item


def _write_table(path: Path, predictions: Predictions) -> None:
    arrow = _needed("pyarrow", path)
    about = _shape(predictions)
    plain = {"f": arrow.float64(), "i": arrow.int64(), "b": arrow.bool_(), "U": arrow.string()}[about.kind]
    schema = arrow.schema([("prediction", arrow.list_(plain) if about.width else plain)])
    parquet = path.suffix.lower() == ".parquet"
    opened = _needed("pyarrow.parquet", path).ParquetWriter if parquet else arrow.ipc.new_file
    with whole(path) as stream, opened(stream, schema) as writer:
        for chunk in predictions():
            writer.write_table(arrow.table({"prediction": arrow.array(chunk, schema.field(0).type)}, schema=schema))


@dataclass(frozen=True)
class _Shape:
    """All predictions in few words; `width` is 0 where each is a single value, `gaps` where some are missing."""

    count: int
    width: int
    kind: str  # f, i, b, U
    longest: int
    gaps: bool


def _shape(predictions: Predictions) -> _Shape:
    count, widths, kinds, longest, gaps = 0, set(), set(), 0, False
    for chunk in predictions():
        count += len(chunk)
        for item in chunk:
            cells = item if isinstance(item, list) else [item]
            gaps = gaps or None in cells
            widths |= {len(item) if isinstance(item, list) else 0} if item is not None else set()
            kinds |= {type(cell) for cell in cells if cell is not None}
            longest = max(longest, *(len(cell) for cell in cells if isinstance(cell, str)), 0)
    kind = next((name for name, types in _KINDS.items() if kinds <= types), None)
    if len(widths) > 1 or kind is None:
        what = "the predictions make no regular table"
        raise UsageError(what, given=", ".join(sorted(each.__name__ for each in kinds)), todo="write them to .jsonl")
    return _Shape(count, next(iter(widths), 0), kind, longest, gaps)


_KINDS: dict[str, set[type]] = {"b": {bool}, "i": {int}, "f": {int, float}, "U": {str}}
_WRITERS: dict[str, Callable[[Path, Predictions], None]] = {
    **dict.fromkeys(_LINES, _write_lines),
    ".csv": _write_csv,
    ".npy": _write_npy,
    ".arrow": _write_table,
    ".parquet": _write_table,
}
