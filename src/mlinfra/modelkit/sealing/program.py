"""The file of a sealed model: a JSON header, then aligned arrays that are mapped into memory as they are.

bytes 0-15    magic
bytes 16-23   format, header length: two little-endian uint32
then          the header
then          each array, at a multiple of 64 bytes; the header names their places from the first one on
"""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapabilityError, IntegrityError
from mlinfra.modelkit.sealing import layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.modelkit.sealing.recipe import Cell

_MAGIC = b"mlinfra sealed\r\n"
_HEAD = struct.Struct("<II")
_ALIGNMENT = 64
_LONGEST_HEADER = 64 << 20
_SIZES = {**layout.ARRAYS, **layout.MATRIX_ARRAYS}


@dataclass(frozen=True)
class Matrix:
    """How the arrays `weights` and `bias` are multiplied and added."""

    shape: tuple[int, ...]
    order: str  # of the weights in memory
    layout: str  # of the features in memory


@dataclass(frozen=True)
class Program:
    """A sealed model as data. `arrays` holds bytes, or views into the mapped file."""

    kind: str
    method: str
    form: str
    columns: int
    names: tuple[str, ...]
    outputs: int
    width: int  # of a leaf
    flags: int
    finish: str
    order: str  # of the scores that softmax works on
    labels: tuple[Cell, ...]
    tables: tuple[tuple[Cell, ...], ...]
    matrix: Matrix | None
    arrays: Mapping[str, Any] = field(repr=False)

    def array(self, name: str) -> Any:
        """The bytes of an array; empty where the program has none of that name."""
        return self.arrays.get(name, b"")

    @property
    def needs_numpy(self) -> bool:
        """Whether an answer takes numpy's own matrix product or exp."""
        return self.matrix is not None or self.finish in layout.NUMPY_FINISHES


def to_bytes(program: Program) -> bytes:
    """The file. The same program gives the same bytes."""
    places = {}
    body = bytearray()
    for name in sorted(program.arrays):
        data = program.arrays[name]
        body += b"\0" * (-len(body) % _ALIGNMENT)
        places[name] = [len(body), len(data)]
        body += data
    header = {name: getattr(program, name) for name in _TYPES}
    header["matrix"] = asdict(program.matrix) if program.matrix else None
    header["places"] = places
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    head = _MAGIC + _HEAD.pack(layout.FORMAT, len(text)) + text
    return head + b"\0" * (-len(head) % _ALIGNMENT) + bytes(body)


def from_buffer(data: Any) -> Program:
    """Reads a file that may come from anywhere; raises IntegrityError, or CapabilityError for another format."""
    if sys.byteorder != "little":
        raise CapabilityError("sealed models are read on little-endian machines only", given=sys.byteorder)
    view = memoryview(data)
    start = len(_MAGIC) + _HEAD.size
    if len(view) < start or bytes(view[: len(_MAGIC)]) != _MAGIC:
        raise _broken("it does not begin like one")
    number, length = _HEAD.unpack(view[len(_MAGIC) : start])
    if number != layout.FORMAT:
        raise CapabilityError(
            "this version does not read that format of sealed models", given=number, allowed=str(layout.FORMAT)
        )
    if length > _LONGEST_HEADER or start + length > len(view):
        raise _broken("its header is longer than the file")
    header = _parse(bytes(view[start : start + length]))
    first = start + length + (-(start + length) % _ALIGNMENT)
    arrays = {name: _slice(view, first, place, _SIZES.get(name, 0)) for name, place in header.pop("places").items()}
    return _program(header, arrays)


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise _broken("its header is not JSON") from exc
    if not isinstance(header, dict) or not isinstance(header.get("places"), dict):
        raise _broken("its header is not a document")
    return header


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _slice(view: memoryview, first: int, place: Any, size: int) -> memoryview:
    if not (isinstance(place, list) and len(place) == 2 and all(type(number) is int for number in place)):  # noqa: PLR2004  offset and length
        raise _broken("an array has no place")
    offset, length = place
    if size == 0 or offset < 0 or length < 0 or offset % _ALIGNMENT or length % size:
        raise _broken("an array has a place or a length that cannot be")
    if first + offset + length > len(view):
        raise _broken("an array lies beyond the end of the file")
    return view[first + offset : first + offset + length]


_TYPES: dict[str, Any] = {
    "kind": str,
    "method": str,
    "form": str,
    "columns": int,
    "names": list,
    "outputs": int,
    "width": int,
    "flags": int,
    "finish": str,
    "order": str,
    "labels": list,
    "tables": list,
    "matrix": (dict, type(None)),
}


def _program(header: dict[str, Any], arrays: Mapping[str, Any]) -> Program:
    if set(header) != set(_TYPES) or any(not isinstance(header[key], kind) for key, kind in _TYPES.items()):
        raise _broken("its header has other keys, or values of other types")
    finishes = layout.FINISHES + layout.NUMPY_FINISHES
    if header["form"] not in layout.FORMS or header["finish"] not in finishes or header["order"] not in ("C", "F"):
        raise _broken("its header names a form or an ending that is not there")
    if not all(isinstance(name, str) for name in header["names"]) or len(header["names"]) not in (0, header["columns"]):
        raise _broken("its columns have broken names")
    if not all(
        isinstance(table, list) and all(map(_is_cell, table)) for table in [header["labels"], *header["tables"]]
    ):
        raise _broken("a label or a category is neither text nor a number")
    _check_ending(header, arrays)
    return Program(
        **{
            **header,
            "names": tuple(header["names"]),
            "labels": tuple(header["labels"]),
            "tables": tuple(tuple(table) for table in header["tables"]),
            "matrix": _matrix(header, arrays),
            "arrays": arrays,
        }
    )


def _check_ending(header: dict[str, Any], arrays: Mapping[str, Any]) -> None:
    """Scores come from one model alone, and in the number that the ending takes."""
    sources = [name for name in ("roots", "coefficients", "weights") if len(arrays.get(name, b""))]
    if len(sources) != 1 or (sources == ["weights"]) != (header["matrix"] is not None):
        raise _broken("it has no model, or several")
    finish, outputs, labels = header["finish"], header["outputs"], len(header["labels"])
    if finish in layout.SINGLE_SCORE and outputs != 1:
        raise _broken("its ending takes one score a row")
    if "labels" in finish and labels != (2 if outputs == 1 else outputs):
        raise _broken("it has another number of labels than of scores")


def _is_cell(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _matrix(header: dict[str, Any], arrays: Mapping[str, Any]) -> Matrix | None:
    found = header["matrix"]
    if found is None:
        return None
    shape = found.get("shape")
    outputs = header["outputs"]
    features = len(arrays.get("features", b"")) // layout.ARRAYS["features"]
    sizes = [len(arrays.get(name, b"")) // 8 for name in ("weights", "bias")]
    fits = shape == [features, outputs] or (shape == [features] and outputs == 1)
    if not fits or sizes[0] != features * outputs or sizes[1] not in (1, outputs):
        raise _broken("its matrix has a broken shape")
    if set(found) != {"shape", "order", "layout"} or not {found["order"], found["layout"]} <= {"C", "F"}:
        raise _broken("its matrix lies in an unknown order")
    return Matrix(tuple(shape), found["order"], found["layout"])


def _broken(why: str) -> IntegrityError:
    return IntegrityError(f"this is not a sealed model: {why}", todo="fetch or save the model again")
