"""A CSV file as the rows that a model takes, and the truth beside them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.errors import InputRejected, NotFound, SpecError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlinfra.modelkit.schema import Column, Schema

_MISSING = frozenset({"", "NA", "NaN", "nan", "null", "None"})
_TRUTH = {"true": True, "false": False}
_SHOWN = 10  # refused cells that are worth printing


@dataclass(frozen=True)
class Labelled:
    """Rows in the order of the model's columns, and each row's label as written. `skipped` rows had no label."""

    rows: list[list[Any]]
    truth: list[str]
    skipped: int
    ignored: tuple[str, ...]  # columns that the model does not take


def read_labelled(path: Path, label: str, schema: Schema | None) -> Labelled:
    """Read a table with a header. Without a schema every column but the label goes to the model, in their order.

    Raises:
        NotFound: there is no such file.
        SpecError: it is no such table, or lacks a column.
        InputRejected: a cell is not what the schema declares.
    """
    header, records = _read(path)
    if label not in header:
        raise SpecError("no such column for the label", given=label, allowed=shorten(", ".join(header)))
    names = list(schema.names) if schema else [name for name in header if name != label]
    position = {name: index for index, name in enumerate(header)}
    if schema:
        _refuse_lacking(schema, position, path)
    kept = [record for record in records if record[position[label]].strip() not in _MISSING]
    if not kept:
        raise SpecError("no row has a label", given=f"{path}, column {label}")
    columns = {column.name: column for column in schema.columns} if schema else {}
    rows = [[_cell(_at(record, position.get(name)), columns.get(name)) for name in names] for record in kept]
    if schema:
        rows = _checked(rows, schema)
    ignored = tuple(name for name in header if name != label and name not in set(names))
    return Labelled(rows, [record[position[label]].strip() for record in kept], len(records) - len(kept), ignored)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(_records(csv.reader(stream, strict=True), path))
    except FileNotFoundError as exc:
        raise NotFound("no such file", given=str(path), todo="check the path") from exc
    except (csv.Error, UnicodeDecodeError, IsADirectoryError) as exc:
        raise SpecError(f"not a CSV file in UTF-8: {exc}", given=str(path)) from exc
    if not lines:
        raise SpecError("an empty table", given=str(path), allowed="a CSV file whose first line names its columns")
    header, *records = lines
    if len(set(header)) < len(header):
        raise SpecError("two columns have the same name", given=shorten(", ".join(header)))
    return header, records


def _records(reader: Any, path: Path) -> Iterator[list[str]]:
    width = 0
    for record in reader:
        if not record:
            continue
        width = width or len(record)
        if len(record) != width:
            given = f"{path}:{reader.line_num}: {len(record)} cells"
            raise SpecError("a line with another number of cells than the header", given=given, allowed=f"{width}")
        yield record


def _refuse_lacking(schema: Schema, position: dict[str, int], path: Path) -> None:
    lacking = [column.name for column in schema.columns if column.required and column.name not in position]
    if lacking:
        raise SpecError(
            "the table lacks columns that the model takes", given=f"{path}: no {', '.join(lacking)}", todo="add them"
        )


def _at(record: Sequence[str], index: int | None) -> str:
    return "" if index is None else record[index].strip()


def _cell(text: str, column: Column | None) -> Any:
    """A cell's text as its column's type. What does not fit stays as it is, for the schema to refuse with a reason."""
    kind = column.type if column else "number"
    if column is not None and kind == "category":
        declared = next((value for value in column.values if _written(value) == text), None)
        return declared if declared is not None else None if text in _MISSING else text
    if kind == "string":
        return text or None
    if text in _MISSING:
        return None
    if kind == "boolean":
        return _TRUTH.get(text.lower(), text)
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _checked(rows: list[list[Any]], schema: Schema) -> list[list[Any]]:
    checked = schema.check(rows)
    if checked.problems:
        more = len(checked.problems) - _SHOWN
        what = "the table holds cells that the model's schema refuses" + (f"; {more} more" if more > 0 else "")
        raise InputRejected(what, rows=checked.problems[:_SHOWN], todo="correct the table")
    return checked.rows
