"""Monitoring filters: which time series a request means.

After "Monitoring filters" of the Cloud Monitoring API: comparisons of `metric.type`, `metric.labels.K`,
`resource.type`, `resource.labels.K` and `project` with `=`, `!=`, `:` (has the substring), functions such as
`starts_with("…")`, and AND, OR, NOT, parentheses; restrictions that stand beside each other are joined by AND.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<mark>!=|>=|<=|[=:()<>,])|(?P<word>[^\s=:!()<>,\"']+))"
)
_LABEL = re.compile(r"(metric|resource)\.labels?\.(.+)")
_PLAIN = frozenset({"metric.type", "resource.type", "project", "group.id"})
_FUNCTIONS: dict[str, Callable[[str, list[str]], bool]] = {
    "starts_with": lambda value, told: value.startswith(told[0]),
    "ends_with": lambda value, told: value.endswith(told[0]),
    "has_substring": lambda value, told: told[0] in value,
    "one_of": lambda value, told: value in told,
    "monitoring.regex.full_match": lambda value, told: re.fullmatch(told[0], value) is not None,
}


class BadFilter(ValueError):
    """The text is no filter."""


class Filter(NamedTuple):
    """A filter that was read. `matches` gets the fields of a series; `metrics` are the metric types it names with =."""

    matches: Callable[[Mapping[str, str]], bool]
    metrics: tuple[str, ...]


class _Token(NamedTuple):
    kind: str  # "text", "mark", "word"
    value: str


def read(text: str) -> Filter:
    """The filter that a text holds. BadFilter where it is none."""
    reader = _Reader(_tokens(text))
    test = reader.disjunction()
    if reader.rest:
        raise BadFilter(f"unexpected {reader.rest[0].value!r}")
    return Filter(test, tuple(reader.metrics))


def field(name: str) -> str:
    """The one name of a field: `metric.label.x` and `metric.labels."x"` are the same. BadFilter for what is none."""
    label = _LABEL.fullmatch(name)
    if label:
        return f"{label[1]}.labels.{_unquoted(label[2])}"
    if name not in _PLAIN:
        raise BadFilter(f"The supplied filter does not specify a valid field: {name!r}")
    return name


def _tokens(text: str) -> list[_Token]:
    found = []
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadFilter(f"unreadable from {text[place:]!r} on")
        kind = str(match.lastgroup)
        value = match[kind]
        found.append(_Token(kind, _unquoted(value) if kind == "text" else value))
        place = match.end()
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in {'"', "'"} else text


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.rest = tokens
        self.metrics: list[str] = []

    def disjunction(self) -> Callable[[Mapping[str, str]], bool]:
        tests = [self._conjunction()]
        while self._take_word("OR"):
            tests.append(self._conjunction())
        return lambda fields: any(test(fields) for test in tests)

    def _conjunction(self) -> Callable[[Mapping[str, str]], bool]:
        tests = [self._one()]
        while self._take_word("AND") or (self.rest and not self._at_end()):
            tests.append(self._one())
        return lambda fields: all(test(fields) for test in tests)

    def _one(self) -> Callable[[Mapping[str, str]], bool]:
        if self._take_word("NOT"):
            inner = self._one()
            return lambda fields: not inner(fields)
        if self._take_mark("("):
            inner = self.disjunction()
            self._expect(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Callable[[Mapping[str, str]], bool]:
        name = self._name()
        mark = self._next("mark").value
        if mark not in {"=", "!=", ":"}:
            raise BadFilter(f"the comparison {mark!r} is not supported for {name}")
        value, function = self._value()
        if function:
            test = _FUNCTIONS[function]
            return lambda fields: test(fields.get(name, ""), value) is (mark != "!=")
        if name == "metric.type" and mark == "=":
            self.metrics.append(value[0])
        if mark == ":":
            return lambda fields: value[0] in fields.get(name, "")
        return lambda fields: (fields.get(name, "") == value[0]) is (mark == "=")

    def _name(self) -> str:
        name = self._next("word").value
        if name.endswith(".") and self.rest and self.rest[0].kind == "text":
            name += self._next("text").value
        return field(name)

    def _value(self) -> tuple[list[str], str]:
        """The values of a comparison, and the function that they are told to, if there is one."""
        if not self.rest or self.rest[0].kind == "mark":
            raise BadFilter("a comparison without a value")
        token = self.rest.pop(0)
        if token.kind == "text" or token.value not in _FUNCTIONS:
            return [token.value], ""
        self._expect("(")
        values = [self._next("text").value]
        while self._take_mark(","):
            values.append(self._next("text").value)
        self._expect(")")
        return values, token.value

    def _at_end(self) -> bool:
        return self.rest[0] == _Token("mark", ")") or self.rest[0] == _Token("word", "OR")

    def _take_word(self, word: str) -> bool:
        return self._take(_Token("word", word))

    def _take_mark(self, mark: str) -> bool:
        return self._take(_Token("mark", mark))

    def _take(self, token: _Token) -> bool:
        if self.rest and self.rest[0] == token:
            self.rest.pop(0)
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise BadFilter(f"{mark!r} is missing")

    def _next(self, kind: str) -> _Token:
        if not self.rest or self.rest[0].kind != kind:
            given = self.rest[0].value if self.rest else "the end"
            raise BadFilter(f"a {kind} is expected, not {given!r}")
        return self.rest.pop(0)
