"""Tensor values of the Open Inference Protocol: flat lists from JSON or from raw little-endian bytes, and back."""

from __future__ import annotations

import struct
from typing import Any

from mlinfra.errors import shorten
from mlinfra.serving.messages import bad_request

DATATYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
    "BYTES": "",
}
_LENGTH = struct.Struct("<I")


def flatten(data: Any, count: int, name: str) -> list[Any]:
    """Values from JSON, flat or nested as the shape is; refuses another number of them."""
    values = data
    while isinstance(values, list) and values and all(isinstance(item, list) for item in values):
        if len(set(map(len, values))) > 1:
            raise bad_request(f"input {shorten(name)}: its rows differ in length", "MalformedBody")
        values = [cell for item in values for cell in item]
    if not isinstance(values, list) or len(values) != count:
        found = len(values) if isinstance(values, list) else "no"
        raise bad_request(f"input {shorten(name)}: {found} values, its shape holds {count}", "MalformedBody")
    return values


def from_bytes(raw: bytes, datatype: str, count: int, name: str) -> list[Any]:
    """Values from raw bytes; refuses another number of them."""
    if datatype == "BYTES":
        return _strings(raw, count, name)
    code = DATATYPES[datatype]
    if struct.calcsize(f"<{code}") * count != len(raw):
        raise bad_request(f"input {shorten(name)}: {len(raw)} bytes do not hold {count} of {datatype}", "MalformedBody")
    return list(struct.unpack(f"<{count}{code}", raw))


def to_bytes(values: list[Any], datatype: str) -> bytes:
    """Raw bytes of an output; a missing number is NaN."""
    if datatype == "BYTES":
        texts = [value if isinstance(value, bytes) else str(value).encode() for value in values]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    numbers = [float("nan") if value is None else value for value in values]
    return struct.pack(f"<{len(numbers)}{DATATYPES[datatype]}", *numbers)


def datatype_of(values: list[Any]) -> str:
    """The datatype that holds an output's values."""
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float, type(None)} else "BYTES"


def _strings(raw: bytes, count: int, name: str) -> list[Any]:
    values, start = [], 0
    while start + _LENGTH.size <= len(raw):
        (length,) = _LENGTH.unpack_from(raw, start)
        start += _LENGTH.size + length
        values.append(raw[start - length : start])
    if start != len(raw) or len(values) != count:
        raise bad_request(f"input {shorten(name)}: its bytes do not hold {count} strings", "MalformedBody")
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as exc:
        raise bad_request(f"input {shorten(name)}: a string is not UTF-8", "MalformedBody") from exc
