"""The `filter` of List methods: comparisons joined by AND, OR and NOT.

The grammar is the vendor's for all its list filters (AIP-160), in which OR binds closer than AND; which fields a list
knows, and how they may be compared, is what the documentation of its request says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlinfra.emulator.calls import Refusal

_TOKEN = re.compile(r'\s*(\(|\)|<=|>=|!=|=|<|>|:|"(?:[^"\\]|\\.)*"|[^\s()=!<>:"]+)')
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    ":": lambda left, right: fnmatchcase(str(left), str(right)),
}
_ORDERED = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Field:
    """One field that a list can be filtered by: which comparisons it knows, and its value in an element."""

    operators: tuple[str, ...]
    read: Callable[[Any], Any]
    value: Callable[[str], Any] = str  # what a filter's text stands for


def text(member: str, *operators: str) -> Field:
    """A text: `text("display_name", "=", "!=")`."""
    return Field(operators or ("=", "!="), lambda element: getattr(element, member))


def state(member: str = "state") -> Field:
    """An enum, by the names of its values."""
    return Field(("=", "!="), lambda element: getattr(element, member).name)


def own_id() -> Field:
    """The last segment of the resource's name."""
    return Field(("=", "!="), lambda element: element.name.rpartition("/")[2])


def time(member: str) -> Field:
    """A moment, in RFC 3339."""
    return Field(_ORDERED, lambda element: getattr(element, member), _moment)


def matching(filter_text: str, elements: Iterable[Any], fields: Mapping[str, Field]) -> list[Any]:
    """The elements that a filter lets through; all of them where it is empty. Labels are always known.

    Raises:
        Refusal: INVALID_ARGUMENT, it cannot be read, or names a field or a comparison that the list does not know.
    """
    if not filter_text.strip():
        return list(elements)
    known = {**fields, **{_camel(name): field for name, field in fields.items()}}
    test = _Parser(_tokens(filter_text), known).whole()
    return [element for element in elements if test(element)]


class _Parser:
    """Reads tokens into a test of an element, by descent through the grammar."""

    def __init__(self, tokens: Sequence[str], fields: Mapping[str, Field]) -> None:
        self._tokens = list(tokens)
        self._fields = fields

    def whole(self) -> Callable[[Any], bool]:
        test = self._all()
        if self._tokens:
            raise _unreadable(f"unexpected '{self._tokens[0]}'")
        return test

    def _all(self) -> Callable[[Any], bool]:
        """Terms joined by AND, or by nothing, which means the same."""
        tests = [self._any()]
        while self._tokens and self._tokens[0] != ")":
            if self._tokens[0] == "AND":
                self._tokens.pop(0)
            tests.append(self._any())
        return lambda element: all(test(element) for test in tests)

    def _any(self) -> Callable[[Any], bool]:
        tests = [self._one()]
        while self._tokens and self._tokens[0] == "OR":
            self._tokens.pop(0)
            tests.append(self._one())
        return lambda element: any(test(element) for test in tests)

    def _one(self) -> Callable[[Any], bool]:
        token = self._next()
        if token == "NOT" or token == "-":  # noqa: PLR1714, S105  the grammar's two signs of negation, no secrets
            test = self._one()
            return lambda element: not test(element)
        if token == "(":  # noqa: S105  a bracket
            test = self._all()
            if self._next() != ")":
                raise _unreadable("a bracket is not closed")
            return test
        return self._comparison(token)

    def _comparison(self, name: str) -> Callable[[Any], bool]:
        if name.endswith(".") and self._tokens and self._tokens[0].startswith('"'):
            name += _unquoted(self._next())
        operator = self._next()
        if operator not in _COMPARISONS:
            raise _unreadable(f"'{operator}' is no comparison")
        value = _unquoted(self._next())
        if name == "labels" or name.startswith("labels."):
            return _label(name, operator, value)
        field = self._fields.get(name)
        if field is None or operator not in field.operators:
            raise _unreadable(f"'{name} {operator}' is not supported")
        wanted = field.value(value)
        compare = _COMPARISONS[operator]
        return lambda element: _holds(compare, field.read(element), wanted)

    def _next(self) -> str:
        if not self._tokens:
            raise _unreadable("it ends too early")
        return self._tokens.pop(0)


def _holds(compare: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    """A comparison; nothing is earlier or later than a time that is not set."""
    return value is not None and compare(value, wanted)


def _label(name: str, operator: str, value: str) -> Callable[[Any], bool]:
    key = name.removeprefix("labels").removeprefix(".")
    if operator == ":" and (not key or value == "*"):
        wanted = key or value
        return lambda element: wanted in element.labels
    if operator not in {"=", "!=", ":"} or not key:
        raise _unreadable(f"'{name} {operator}' is not supported")
    if operator == "!=":
        return lambda element: element.labels.get(key) != value
    return lambda element: element.labels.get(key) == value


def _tokens(filter_text: str) -> list[str]:
    found = []
    at = 0
    while filter_text[at:].strip():
        token = _TOKEN.match(filter_text, at)
        if token is None:
            raise _unreadable(f"it cannot be read from '{filter_text[at:]}' on")
        found.append(token.group(1))
        at = token.end()
    return found


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token


def _moment(value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise _unreadable(f"'{value}' is no time in RFC 3339")
    return found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _unreadable(why: str) -> Refusal:
    return refusals.invalid_argument(f"Invalid filter expression: {why}.", "filter")
