"""Bodies of numpy (`.npy`) and Arrow (the IPC stream format), in and out, where those libraries are installed.

Both come from strangers: nothing is unpickled, sizes are compared with the bytes that are there, and an Arrow stream
is validated in full before a value of it is touched. Compressed streams are refused, since ten megabytes of one may
unpack to ten gigabytes.
"""

from __future__ import annotations

import importlib
import io
import math
import struct
from typing import TYPE_CHECKING, Any

from mlinfra.errors import shorten
from mlinfra.serving.messages import ARROW, NPY, Refusal, Response, bad_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from mlinfra.serving.models import Model

_KINDS = "fiubU"  # floats, integers, truth values, strings
_NUMBERS = "fiu"
_WIDEST = 8  # bytes of a number: no model takes wider ones
_TABLE = 2
_HEADER, _DATA, _COMPRESSION = 2, 1, 3  # places in Arrow's tables Message, DictionaryBatch, RecordBatch (Message.fbs)
_OUTPUT = "predictions"


def npy_rows(body: bytes, model: Model) -> Any:
    """Checked rows of an `.npy` body: a matrix in schema order, or a structured array with a field for each column."""
    array = _read_npy(_needed("numpy"), body)
    if array.dtype.names:
        names = array.dtype.names
        return model.accept(model.check([dict(zip(names, row, strict=True)) for row in array.tolist()]))
    if array.ndim != _TABLE:
        raise bad_request(f"rows make an array of two dimensions; this one has {array.ndim}", "MalformedBody")
    if array.dtype.kind in _NUMBERS and (matrix := _clean(array, model)) is not None:
        return matrix
    return model.accept(model.check(array.tolist()))


def arrow_rows(body: bytes, model: Model) -> Any:
    """Checked rows of an Arrow stream, columns by name; without a schema in their order."""
    table = _read_arrow(_needed("pyarrow"), body)
    schema = model.manifest.schema
    if schema is None:
        return model.accept(model.check([list(row.values()) for row in table.to_pylist()]))
    if model.matrix is not None and set(table.column_names) == set(schema.names):
        matrix = _as_matrix(table.select(list(schema.names)), model)
        if matrix is not None:
            return matrix
    return model.accept(model.check(table.to_pylist()))


def encode_npy(predictions: list[Any]) -> Response:
    """Predictions as an array: numbers, truth values or strings; None among numbers is NaN."""
    numpy = _needed("numpy")
    try:
        array = numpy.asarray(_without_none(predictions))
    except ValueError:  # rows of different lengths
        array = None
    if array is None or array.dtype.kind not in _KINDS:
        raise Refusal(406, "NotAcceptable", "these predictions make no plain array; ask for JSON")
    stream = io.BytesIO()
    numpy.lib.format.write_array(stream, array, allow_pickle=False)
    return Response(200, stream.getvalue(), NPY)


def encode_arrow(predictions: list[Any]) -> Response:
    """Predictions as a table with the one column `predictions`."""
    arrow = _needed("pyarrow")
    try:
        table = arrow.table({_OUTPUT: arrow.array(predictions)})
    except arrow.ArrowException as exc:
        raise Refusal(406, "NotAcceptable", "these predictions make no Arrow column; ask for JSON") from exc
    stream = io.BytesIO()
    with arrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return Response(200, stream.getvalue(), ARROW)


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise Refusal(415, "UnsupportedMediaType", f"{name} is not installed in this server; send JSON") from exc


def _clean(array: Any, model: Model) -> Any:
    """The array as floats, where all of it surely passes the schema; else None."""
    check = model.matrix
    if check is None or array.shape[1] != check.width or not len(array):
        return None
    matrix = array.astype("float64", order="C", copy=False)
    return matrix if check.passes(matrix) else None


def _without_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return math.nan if value is None else value


# numpy


def _read_npy(numpy: ModuleType, body: bytes) -> Any:
    form = numpy.lib.format
    stream = io.BytesIO(body)
    try:
        version = form.read_magic(stream)
        read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}[version]
        shape, by_columns, dtype = read(stream)
    except Exception as exc:  # the header is a Python literal, and its reader raises whatever Python's own does
        raise bad_request(f"the body is no .npy file of version 1 or 2: {shorten(str(exc))}", "MalformedBody") from exc
    _refuse_strange(dtype)
    content = memoryview(body)[stream.tell() :]
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(content):
        raise bad_request(f"the array's shape {shape} is not that of its {len(content)} bytes", "MalformedBody")
    if not dtype.itemsize:
        raise bad_request("the array has values without a size", "MalformedBody")
    return numpy.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


def _refuse_strange(dtype: Any) -> None:
    parts = [dtype] if dtype.names is None else [dtype.fields[name][0] for name in dtype.names]
    for part in parts:
        if part.kind not in _KINDS or (part.kind in _NUMBERS and part.itemsize > _WIDEST) or part.subdtype:
            allowed = "floats and integers of up to 64 bits, truth values, strings"
            raise bad_request(f"values of type {part} are not taken; allowed: {allowed}", "MalformedBody")


# Arrow


def _read_arrow(arrow: ModuleType, body: bytes) -> Any:
    try:
        _refuse_compressed(arrow, body)
        with arrow.ipc.open_stream(body) as reader:
            _refuse_strange_columns(arrow, reader.schema)
            table = reader.read_all()
        table.validate(full=True)
    except (arrow.ArrowException, struct.error, IndexError, OSError, ValueError) as exc:
        raise bad_request(f"the body is no Arrow stream: {shorten(str(exc))}", "MalformedBody") from exc
    return table


def _refuse_strange_columns(arrow: ModuleType, schema: Any) -> None:
    types = arrow.types
    if len(set(schema.names)) < len(schema.names):
        raise bad_request("two columns have the same name", "DuplicateKey")
    if not schema.names:
        raise bad_request("the stream has no column", "MalformedBody")
    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        is_plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        if not (is_plain or types.is_string(kind) or types.is_large_string(kind)):
            allowed = "integers, floats, truth values, strings, and dictionaries of them"
            raise bad_request(
                f"column {shorten(field.name)}: {field.type} is not taken; allowed: {allowed}", "MalformedBody"
            )


def _as_matrix(table: Any, model: Model) -> Any:
    """A table of numbers without a missing one as a float matrix that passes the schema; else None."""
    numpy = _needed("numpy")
    columns = [column.to_numpy() for column in table.columns if not column.null_count]
    if len(columns) < len(table.columns) or any(column.dtype.kind not in _NUMBERS for column in columns):
        return None
    return _clean(numpy.column_stack([column.astype("float64") for column in columns]), model)


def _refuse_compressed(arrow: ModuleType, body: bytes) -> None:
    """Look at each batch's own description, since the library would unpack it without asking how large it gets."""
    for kind, metadata in _messages(arrow, body):
        header = _table_at(metadata, struct.unpack_from("<I", metadata)[0], _HEADER)
        if kind == "dictionary" and header:
            header = _table_at(metadata, header, _DATA)
        if kind in ("dictionary", "record batch") and header and _place_of(metadata, header, _COMPRESSION):
            raise bad_request("the Arrow stream is compressed; send it uncompressed", "MalformedBody")


def _messages(arrow: ModuleType, body: bytes) -> Iterator[tuple[str, bytes]]:
    reader = arrow.ipc.MessageReader.open_stream(body)
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        yield message.type, message.metadata.to_pybytes()


def _place_of(buffer: bytes, table: int, index: int) -> int:
    """Where a field of a FlatBuffers table lies; 0 where it is absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    size = struct.unpack_from("<H", buffer, vtable)[0]
    entry = 4 + 2 * index
    offset = struct.unpack_from("<H", buffer, vtable + entry)[0] if entry < size else 0
    return table + offset if offset else 0


def _table_at(buffer: bytes, table: int, index: int) -> int:
    """Where the table lies that a field refers to; 0 where it is absent."""
    place = _place_of(buffer, table, index)
    return place + struct.unpack_from("<I", buffer, place)[0] if place else 0
