"""CSV bodies to rows, each cell read as its column's type says. An empty cell is a missing one."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from mlinfra.serving.messages import Refusal, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.modelkit import Column, Schema
    from mlinfra.serving.models import Model

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_SHOWN = 100  # ragged lines that an answer lists
_TRUTH = {"true": True, "false": False}


def csv_rows(body: bytes, model: Model, header: str) -> list[list[Any]]:
    """Checked rows of a CSV body.

    `header` is the media type's parameter: present, absent, or empty, where the first line counts as a header
    when every cell of it names a column.
    """
    lines = _lines(body)
    schema = model.manifest.schema
    if schema is None:
        return model.accept(model.check([[_guess(cell) for cell in line] for line in lines]))
    names: tuple[str, ...] = schema.names
    if header == "present" or (not header and lines and set(lines[0]) <= set(names)):
        if not lines:
            raise bad_request("the CSV body has no header", "MalformedBody")
        names = _header(lines.pop(0))
    _refuse_ragged(lines, names)
    return model.accept(model.check(typed_rows(lines, names, schema)))


def typed_rows(lines: list[list[str]], names: tuple[str, ...], schema: Schema | None) -> list[Any]:
    """Rows of lines that are all as long as `names`, each cell read as its column's type says."""
    if schema is None:
        return [[_guess(cell) for cell in line] for line in lines]
    columns = {column.name: column for column in schema.columns}
    typed = [columns.get(name) for name in names]
    return [_row(line, names, typed) for line in lines]


def _lines(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
        return [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except UnicodeDecodeError as exc:
        raise bad_request(f"the CSV body is not UTF-8: {exc.reason} at byte {exc.start}", "MalformedBody") from exc
    except csv.Error as exc:
        raise bad_request(f"the body is not CSV: {exc}", "MalformedBody") from exc


def _header(cells: list[str]) -> tuple[str, ...]:
    if len(set(cells)) < len(cells):
        raise bad_request("the CSV header names a column twice", "DuplicateKey")
    return tuple(cells)


def _refuse_ragged(lines: list[list[str]], names: tuple[str, ...]) -> None:
    allowed = f"{len(names)} cells, as the header or the model's schema says"
    problems = [
        {"row": index, "column": None, "value": f"{len(line)} cells", "allowed": allowed}
        for index, line in enumerate(lines)
        if len(line) != len(names)
    ]
    if problems:
        message = f"row {problems[0]['row']} has {problems[0]['value']}; allowed: {allowed}"
        raise Refusal(400, "InputRejected", message, rows=problems[:_SHOWN])


def _row(cells: list[str], names: tuple[str, ...], columns: list[Column | None]) -> dict[str, Any]:
    return {name: _cell(cells[index], columns[index]) for index, name in enumerate(names)}


def _cell(text: str, column: Column | None) -> Any:
    if text == "":
        return None
    return _READERS[column.type](text, column) if column else text


def _number(text: str, _column: Column) -> Any:
    text = text.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


def _category(text: str, column: Column) -> Any:
    return next((value for value in column.values if _as_text(value) == text), text)


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_READERS: dict[str, Callable[[str, Column], Any]] = {
    "integer": _number,
    "number": _number,
    "boolean": lambda text, _column: _TRUTH.get(text.strip().lower(), text),
    "string": lambda text, _column: text,
    "category": _category,
}


def _guess(text: str) -> Any:
    """A cell for a model without a schema: a number where it looks like one."""
    if text == "":
        return None
    return float(text) if _NUMBER.fullmatch(text.strip()) else text
