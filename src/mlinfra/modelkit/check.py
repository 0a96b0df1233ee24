"""Rows against a schema: one quick test for the row in which all is well, exact words for every other.

A server asks the quick test for every row of every request. It is compiled where the compiled walk is at hand
(`Screen` in `sealing/walk.c`); elsewhere it runs whole columns through C-level maps.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from operator import contains, itemgetter, le
from typing import Any

from mlinfra.errors import shorten
from mlinfra.modelkit.schema import EXACT, Checked, Column, Schema
from mlinfra.modelkit.screen import bound, screen

_REFUSED = object()
_ABSENT = object()
_STRANGERS = 20  # unknown columns told of a row: looking for what each was meant to be costs more than the row
_LONGEST_NAME = 100  # characters of one for which that is tried
_Reader = Callable[[Column, Any], Any]


class Checker:
    """A schema made ready for checking rows."""

    def __init__(self, schema: Schema) -> None:
        columns = schema.columns
        found = screen(columns)
        self._order = _nothing if found is None else found.order
        self._columns = columns
        self._width = len(columns)
        self._names = schema.names
        self._known = frozenset(schema.names)
        self._by_name = _picker(list(schema.names))
        self._kinds = _kinds(columns)
        numbers = [index for index, column in enumerate(columns) if column.type in ("integer", "number")]
        ranged = [index for index in numbers if columns[index].min is not None or columns[index].max is not None]
        free = [index for index in numbers if index not in ranged]
        self._free = _as_it_is if len(free) == len(columns) else _picker(free)
        self._has_free = len(numbers) > len(ranged)
        self._ranged = _picker(ranged)
        self._lows = [bound(columns[index].min, -EXACT) for index in ranged]
        self._highs = [bound(columns[index].max, EXACT) for index in ranged]
        categories = [index for index, column in enumerate(columns) if column.type == "category"]
        self._categories = _picker(categories)
        self._values = [frozenset(columns[index].values) for index in categories]

    def check(self, rows: Sequence[Any], limit: int | None = None) -> Checked:
        """See `Schema.check`."""
        clean = self._order(rows)
        if clean is not None:
            return Checked(clean, [])
        ordered: list[list[Any]] = []
        problems: list[dict[str, Any]] = []
        unsure = False
        for number, row in enumerate(rows):
            values = row if type(row) is list else self._in_order(row)
            if len(values) != self._width or not self._clean(values):
                values = self._exact(number, row, problems)
                unsure = unsure or any(type(value) is float and abs(value) > EXACT for value in values)
                if limit is not None and len(problems) >= limit:
                    break
            ordered.append(values)
        return Checked(ordered, problems, unsure)

    def _in_order(self, row: Any) -> list[Any]:
        """The cells of a row that has exactly the schema's columns; of any other, none."""
        if not isinstance(row, (dict, tuple)) or len(row) != self._width:
            return []
        try:
            return list(self._by_name(row) if isinstance(row, dict) else row)
        except KeyError:
            return []

    def _clean(self, values: list[Any]) -> bool:
        """Whether each cell is surely right; False says nothing."""
        for pick, types in self._kinds:
            if not types.issuperset(map(type, pick(values))):
                return False
        return (
            (not self._has_free or _is_small(self._free(values)))
            and (not self._lows or self._in_range(self._ranged(values)))
            and (not self._values or all(map(contains, self._values, self._categories(values))))
        )

    def _in_range(self, values: Sequence[Any]) -> bool:
        return all(map(le, self._lows, values)) and all(map(le, values, self._highs))

    def _exact(self, number: int, row: Any, problems: list[dict[str, Any]]) -> list[Any]:
        if isinstance(row, Mapping):
            problems.extend(self._strangers(number, row))
            cells = [row.get(name, _ABSENT) for name in self._names]
        elif isinstance(row, (list, tuple)) and len(row) == len(self._columns):
            cells = list(row)
        else:
            problems.append(self._not_a_row(number, row))
            return []
        return [self._cell(number, column, cell, problems) for column, cell in zip(self._columns, cells)]

    def _cell(self, number: int, column: Column, cell: Any, problems: list[dict[str, Any]]) -> Any:
        if cell is _ABSENT:
            if not column.required:
                return None
            problems.append(_problem(number, column.name, None, f"{column.allowed}; the column is missing"))
            return None
        if getattr(cell, "shape", None) == ():  # a numpy scalar
            cell = cell.item()
        value = (None if column.nullable else _REFUSED) if is_missing(cell) else _READERS[column.type](column, cell)
        if value is _REFUSED:
            problems.append(_problem(number, column.name, cell, column.allowed))
            return None
        return value

    def _strangers(self, number: int, row: Mapping[Any, Any]) -> list[dict[str, Any]]:
        strange = ((name, value) for name, value in row.items() if name not in self._known)
        return [
            _problem(number, shorten(str(name)), value, f"no such column; {self._nearest(str(name))}")
            for name, value in itertools.islice(strange, _STRANGERS)
        ]

    def _nearest(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._names, n=1) if len(name) <= _LONGEST_NAME else ()
        return f"did you mean {near[0]!r}?" if near else f"the columns are {shorten(', '.join(self._names))}"

    def _not_a_row(self, number: int, row: Any) -> dict[str, Any]:
        value = f"an array of {len(row)} values" if isinstance(row, (list, tuple)) else row
        order = shorten(", ".join(self._names))
        allowed = f"an object by column, or an array of {len(self._columns)} values in the order {order}"
        return _problem(number, None, value, allowed)


def is_missing(value: Any) -> bool:
    """Whether a cell counts as missing: None, NaN, and what data frames put in their place."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return type(value).__name__ in ("NAType", "NaTType")


def _as_it_is(row: Sequence[Any]) -> Sequence[Any]:
    """A picker of all cells."""
    return row


def _picker(keys: list[Any]) -> Callable[[Any], Sequence[Any]]:
    """A function that takes the values at some keys, in order; itemgetter alone returns a bare value for one key."""
    if not keys:
        return lambda _row: ()
    if len(keys) == 1:
        only = keys[0]
        return lambda row: (row[only],)
    return itemgetter(*keys)


def _kinds(columns: Sequence[Column]) -> list[tuple[Callable[[Any], Sequence[Any]], frozenset[type]]]:
    """For each set of types that some columns take: how to pick those columns' cells."""
    indexes: dict[frozenset[type], list[int]] = {}
    for index, column in enumerate(columns):
        types = _PLAIN_TYPES.get(column.type) or frozenset(type(value) for value in column.values)
        indexes.setdefault(types, []).append(index)
    if len(indexes) == 1:
        return [(_as_it_is, types) for types in indexes]
    return [(_picker(places), types) for types, places in indexes.items()]


def _is_small(numbers: Sequence[float]) -> bool:
    """Whether all are finite and none is beyond 2^53."""
    total = sum(numbers)  # NaN and infinity show in it, as comparisons with NaN would not
    return min(numbers) >= -EXACT and max(numbers) <= EXACT and total - total == 0


def _nothing(_rows: Any) -> None:
    """A test that finds nothing surely right."""


def _problem(row: int, column: str | None, value: Any, allowed: str) -> dict[str, Any]:
    return {"row": row, "column": column, "value": _shown(value), "allowed": allowed}


def _shown(value: Any) -> Any:
    """A refused value as JSON can hold it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return value if -EXACT <= value <= EXACT else str(value)[:50]  # NaN included: it compares false
    return shorten(value)


def _integer(column: Column, value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return _REFUSED
    return _within(column, value) if -EXACT <= value <= EXACT else _REFUSED


def _number(column: Column, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _REFUSED
    exact = -EXACT <= value <= EXACT if isinstance(value, int) else math.isfinite(value)
    return _within(column, value) if exact else _REFUSED


def _within(column: Column, value: float) -> Any:
    below = column.min is not None and value < column.min
    above = column.max is not None and value > column.max
    return _REFUSED if below or above else value


def _string(_column: Column, value: Any) -> Any:
    return value if isinstance(value, str) else _REFUSED


def _boolean(_column: Column, value: Any) -> Any:
    return value if isinstance(value, bool) else _REFUSED


def _category(column: Column, value: Any) -> Any:
    """The declared value that equals the given one; true and 1 are not equal here, 1 and 1.0 are."""
    for declared in column.values:
        if declared == value and isinstance(declared, bool) == isinstance(value, bool):
            return declared
    return _REFUSED


_READERS: dict[str, _Reader] = {
    "integer": _integer,
    "number": _number,
    "string": _string,
    "boolean": _boolean,
    "category": _category,
}
# a category takes the types of its declared values
_PLAIN_TYPES: dict[str, frozenset[type]] = {
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "string": frozenset({str}),
    "boolean": frozenset({bool}),
}
