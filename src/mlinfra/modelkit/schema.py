"""The declared input of a model: its columns, their types and ranges, and what is wrong with given rows.

One document form serves the spec, the model manifest and the server; the rules are in `Schema.check`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import Problem, SpecError, shorten

if TYPE_CHECKING:
    from mlinfra.modelkit.check import Checker

EXACT = 2**53  # beyond it, a float64 skips whole numbers
_RANGED = frozenset({"min", "max"})
_COMMON = frozenset({"type", "required", "nullable"})
_KEYS: dict[str, frozenset[str]] = {
    "integer": _COMMON | _RANGED,
    "number": _COMMON | _RANGED,
    "string": _COMMON,
    "boolean": _COMMON,
    "category": _COMMON | {"values"},
}


@dataclass(frozen=True)
class Column:
    """One input column. `min` and `max` are inclusive; `values` belong to a category."""

    name: str
    type: str
    min: float | None = None
    max: float | None = None
    values: tuple[Any, ...] = ()
    required: bool = True
    nullable: bool = False

    @property
    def allowed(self) -> str:
        """What the column takes, in words."""
        return f"{self._values_in_words()}{' or null' if self.nullable else ''}"

    def as_document(self) -> dict[str, Any]:
        """The column without what is default."""
        document: dict[str, Any] = {"type": self.type}
        optional = {"min": self.min, "max": self.max, "values": list(self.values) or None}
        document.update({key: value for key, value in optional.items() if value is not None})
        if not self.required:
            document["required"] = False
        if self.nullable:
            document["nullable"] = True
        return document

    def _values_in_words(self) -> str:
        if self.type == "category":
            return f"one of {', '.join(map(str, self.values))}"
        if self.type in ("string", "boolean"):
            return {"string": "a string", "boolean": "true or false"}[self.type]
        kind = "an integer" if self.type == "integer" else "a number"
        if self.min is not None and self.max is not None:
            return f"{kind} from {self.min} to {self.max}"
        if self.min is not None:
            return f"{kind} of at least {self.min}"
        if self.max is not None:
            return f"{kind} of at most {self.max}"
        return f"{kind} (finite; integers up to 2^53)"


class Checked(NamedTuple):
    """Rows in schema order, and every cell that was refused as {row, column, value, allowed}.

    A row that was right as it stood is itself in `rows`. With problems, `rows` is of no use. `unsure`: a float
    beyond 2^53 was met, whose text may have been an integer before a lenient JSON reader rounded it.
    """

    rows: list[list[Any]]
    problems: list[dict[str, Any]]
    unsure: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns in the order in which the model takes them."""

    columns: tuple[Column, ...]

    @classmethod
    def from_document(cls, document: Any) -> Schema:
        """Read `{"inputs": {name: {"type": …}}}`; raise SpecError with every problem."""
        problems: list[Problem] = []
        columns = _columns(document, problems)
        if problems:
            raise SpecError("the input schema is wrong", problems=problems)
        return cls(tuple(columns))

    def as_document(self) -> dict[str, Any]:
        """The form that `from_document` reads."""
        return {"inputs": {column.name: column.as_document() for column in self.columns}}

    def check(self, rows: Sequence[Any], limit: int | None = None) -> Checked:
        """Compare rows, objects by column or arrays in schema order, with the schema.

        Integers pass where numbers are declared; a float passes where an integer is declared only when it
        is whole. A boolean is never a number. null and NaN are missing, allowed where `nullable`; infinity
        never is. A column may be absent where it is not `required`, then it reads as missing. Integers
        beyond 2^53 are refused, since no model could tell them apart. A column that the schema does not
        know is refused. Missing cells come back as None, whole floats of integer columns as integers.
        Every problem is found, or with a `limit` the rows up to the one that reached it.
        """
        return self.checker.check(rows, limit)

    @cached_property
    def checker(self) -> Checker:
        """The schema made ready for checking."""
        from mlinfra.modelkit.check import Checker  # noqa: PLC0415  check.py needs the names of this module

        return Checker(self)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def version(self) -> str:
        """A short digest: two schemas with the same version check alike."""
        pairs = [[column.name, column.as_document()] for column in self.columns]  # the order of columns counts
        text = json.dumps(pairs, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _columns(document: Any, problems: list[Problem]) -> list[Column]:
    inputs = document.get("inputs") if isinstance(document, Mapping) else None
    if not isinstance(inputs, Mapping) or set(document) != {"inputs"} or not inputs:
        problems.append(
            Problem(
                "a schema names its columns under the one key 'inputs'",
                path="schema",
                given=shorten(document),
                allowed="{inputs: {age: {type: integer, min: 18}, …}} with at least one column",
            )
        )
        return []
    return [_column(name, body, problems) for name, body in inputs.items()]


def _column(name: Any, body: Any, problems: list[Problem]) -> Column:
    path = f"schema.inputs.{name}"
    kind = body.get("type") if isinstance(body, Mapping) else None
    if not isinstance(name, str) or not name:
        problems.append(Problem("a column's name is a non-empty string", path=path, given=shorten(name)))
    if not isinstance(kind, str) or kind not in _KEYS:
        allowed = ", ".join(_KEYS)
        problems.append(Problem("unknown type of column", path=path, given=shorten(kind or body), allowed=allowed))
        return Column(str(name), "string")
    for key in sorted(set(map(str, body)) - _KEYS[kind]):
        allowed = ", ".join(sorted(_KEYS[kind]))
        problems.append(Problem(f"a column of type {kind} has no {key!r}", path=f"{path}.{key}", allowed=allowed))
    problems.extend(_wrong_flags(path, body))
    problems.extend(_wrong_values(path, body) if kind == "category" else _wrong_range(path, body))
    values = body.get("values", ()) if kind == "category" else ()
    return Column(
        name=str(name),
        type=kind,
        min=body.get("min"),
        max=body.get("max"),
        values=tuple(values) if isinstance(values, (list, tuple)) else (),
        required=bool(body.get("required", True)),
        nullable=bool(body.get("nullable", False)),
    )


def _wrong_flags(path: str, body: Mapping[str, Any]) -> list[Problem]:
    flags = {key: body[key] for key in ("required", "nullable") if key in body}
    return [
        Problem("not a truth value", path=f"{path}.{key}", given=shorten(value), allowed="true, false")
        for key, value in flags.items()
        if not isinstance(value, bool)
    ]


def _wrong_range(path: str, body: Mapping[str, Any]) -> list[Problem]:
    bounds = {key: body[key] for key in ("min", "max") if body.get(key) is not None}
    problems = [
        Problem("not a bound", path=f"{path}.{key}", given=shorten(value), allowed="a finite number up to 2^53")
        for key, value in bounds.items()
        if not is_number(value) or abs(value) > EXACT
    ]
    if not problems and len(bounds) == len(_RANGED) and bounds["min"] > bounds["max"]:
        problems.append(Problem("min is above max", path=path, given=f"min {bounds['min']}, max {bounds['max']}"))
    return problems


def _wrong_values(path: str, body: Mapping[str, Any]) -> list[Problem]:
    values = body.get("values")
    path = f"{path}.values"
    if not isinstance(values, (list, tuple)) or not values:
        return [Problem("a category lists its values", path=path, given=shorten(values), allowed="[rent, owner, …]")]
    wrong = [value for value in values if not isinstance(value, (str, bool)) and not is_number(value)]
    if wrong:
        allowed = "strings, numbers, true, false"
        return [Problem("not the value of a category", path=path, given=shorten(wrong[0]), allowed=allowed)]
    if len({(isinstance(value, bool), value) for value in values}) < len(values):
        return [Problem("a value is listed twice", path=path, given=shorten(list(values)))]
    return []


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or value - value == 0.0
