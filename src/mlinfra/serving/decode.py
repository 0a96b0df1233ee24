"""Request bodies to rows: JSON in the forms that the platforms' clients send, JSON lines, CSV.

JSON is read by a fast parser first. Where that could hide something (a key given twice, an integer rounded to a
float) the exact and slower one of the standard library reads it again, so that no ambiguity reaches the model.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from mlinfra.errors import shorten
from mlinfra.serving.messages import Refusal, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.serving.models import Model

_FORMS = '{"instances": [...]}, {"inputs": [...]}, {"dataframe_split": ...}, {"dataframe_records": [...]} or an array'
_BOM = b"\xef\xbb\xbf"


def parse_json(body: bytes) -> Any:
    """A JSON document; raises a Refusal for what is not strictly JSON or names a key twice."""
    document = _parse(body)
    # every pair has its colon, so as many keys as colons means that none was given twice
    if body.count(b":") != _count_keys(document):
        return parse_strictly(body)
    return document


def parse_strictly(body: bytes) -> Any:
    """As `parse_json`, slower, with every integer as it was written."""
    try:
        return json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as exc:
        raise bad_request(f"the body is not JSON: {exc}", "MalformedBody") from exc


def json_rows(body: bytes, model: Model) -> list[list[Any]]:
    """Checked rows of a JSON body."""
    checked = model.check(_plain_instances(body) or rows_of(parse_json(body)))
    if checked.unsure:
        checked = model.check(rows_of(parse_strictly(body)))
    return model.accept(checked)


def _plain_instances(body: bytes) -> list[Any] | None:
    """The rows of `{"instances": […]}` with nothing else in it; None for any other body, and where in doubt."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(document) is not dict or len(document) != 1:
        return None
    rows = document.get("instances")
    if type(rows) is not list:
        return None
    colons = body.count(b":")  # as many as keys: none was given twice
    if colons == 1 or (set(map(type, rows)) == {dict} and colons == 1 + sum(map(len, rows))):
        return rows
    return None


def lines_rows(body: bytes, model: Model) -> list[list[Any]]:
    """Checked rows of a body with one JSON row a line; empty lines are skipped."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    checked = model.check([_in_line(number, line, parse_json) for number, line in enumerate(lines, 1)])
    if checked.unsure:
        checked = model.check([_in_line(number, line, parse_strictly) for number, line in enumerate(lines, 1)])
    return model.accept(checked)


def rows_of(document: Any) -> list[Any]:
    """The rows in any of the accepted forms."""
    if isinstance(document, list):
        return document
    if not isinstance(document, dict):
        raise bad_request(f"the body holds no rows; send {_FORMS}", "MalformedBody")
    for key, read in _READERS.items():
        if key in document:
            return read(document)
    given = shorten(", ".join(document)) or "an empty object"
    raise bad_request(f"the body holds no rows but {given}; send {_FORMS}", "MalformedBody")


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if body.startswith(_BOM):
            return _parse(body[len(_BOM) :])
        hint = "; NaN and Infinity are no JSON, a missing value is null" if b"NaN" in body or b"Infin" in body else ""
        raise bad_request(f"the body is not JSON: {exc}{hint}", "MalformedBody") from exc


def _count_keys(document: Any) -> int:
    """Keys of all objects; an array whose first item holds nothing is not searched, which errs to the safe side."""
    if isinstance(document, dict):
        items = list(document.values())
        return len(document) + sum(_count_keys(item) for item in items if isinstance(item, (dict, list)))
    if isinstance(document, list) and document and isinstance(document[0], (dict, list)):
        return sum(_count_keys(item) for item in document if isinstance(item, (dict, list)))
    return 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise bad_request(f"the key {shorten(twice)!r} is given twice", "DuplicateKey")
    return found


def _in_line(number: int, line: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(line)
    except Refusal as refusal:
        raise bad_request(f"line {number}: {refusal.message}", refusal.code) from refusal


def _instances(document: dict[str, Any]) -> list[Any]:
    _only(document, {"instances", "parameters"})
    return _array(document["instances"], "instances")


def _inputs(document: dict[str, Any]) -> list[Any]:
    _only(document, {"inputs", "parameters"})
    return _array(document["inputs"], "inputs")


def _records(document: dict[str, Any]) -> list[Any]:
    _only(document, {"dataframe_records"})
    return _array(document["dataframe_records"], "dataframe_records")


def _wrapped_split(document: dict[str, Any]) -> list[Any]:
    _only(document, {"dataframe_split"})
    return _split(document["dataframe_split"])


def _azure_mlflow(document: dict[str, Any]) -> list[Any]:
    _only(document, {"input_data"})
    data = document["input_data"]
    return data if isinstance(data, list) else _split(data)


def _split(document: Any) -> list[Any]:
    if not isinstance(document, dict):
        raise bad_request("a data frame comes as an object with columns and data", "MalformedBody")
    _only(document, {"columns", "data", "index"})
    data = _array(document.get("data"), "data")
    if "columns" not in document:
        return data
    columns = _array(document["columns"], "columns")
    if not all(isinstance(column, str) for column in columns) or len(set(columns)) < len(columns):
        raise bad_request("columns are not distinct strings", "MalformedBody")
    for number, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(columns):
            raise bad_request(f"row {number} of data is no array of {len(columns)} values", "MalformedBody")
    return [dict(zip(columns, row, strict=True)) for row in data]


def _array(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"{name} is not an array", "MalformedBody")
    return value


def _only(document: dict[str, Any], known: set[str]) -> None:
    strangers = set(document) - known
    if strangers:
        named = shorten(", ".join(sorted(strangers)))
        raise bad_request(f"unknown beside the rows: {named}", "MalformedBody")
    if document.get("parameters"):
        raise bad_request("this model takes no parameters", "MalformedBody")


_READERS: Mapping[str, Callable[[dict[str, Any]], list[Any]]] = {
    "instances": _instances,
    "inputs": _inputs,
    "dataframe_split": _wrapped_split,
    "dataframe_records": _records,
    "input_data": _azure_mlflow,
    "data": _split,
}
