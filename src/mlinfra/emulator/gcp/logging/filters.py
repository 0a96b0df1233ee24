"""The Logging query language, as far as entries are looked for with it: comparisons, regular expressions, bare words.

By the vendor's documentation "Logging query language". A filter reads an entry as the API tells it, as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.calls import Refusal

Entry = dict[str, Any]
Test = Callable[[Entry], bool]

SEVERITIES = ("DEFAULT", "DEBUG", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY")
_TOKEN = re.compile(
    r'\s+|--[^\n]*|(?P<op>=~|!~|!=|>=|<=|=|<|>|:)|(?P<mark>[()])|(?P<minus>-)(?=[\w("])'
    r'|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>(?:[^\s=<>!:()"~]|"(?:[^"\\]|\\.)*")+)'
)
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_JOINS = {"AND", "OR", "NOT"}
_TIMES = {"timestamp", "receiveTimestamp"}


def test_of(text: str) -> Test:
    """What tells whether an entry is meant; an empty filter means all.

    Raises:
        Refusal: INVALID_ARGUMENT, it cannot be read.
    """
    tokens = list(_tokens(text))
    if not tokens:
        return lambda _entry: True
    return _Parser(tokens).whole()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text[at:])
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match[match.lastgroup]


class _Parser:
    """Descent through the grammar: OR of ANDs of negations of comparisons. NOT binds closest, then OR, then AND."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens

    def whole(self) -> Test:
        test = self._all()
        if self._tokens:
            raise _unreadable(self._tokens[0][1])
        return test

    def _all(self) -> Test:
        """Terms joined by AND, or by nothing, which means the same."""
        tests = [self._any()]
        while self._tokens and self._tokens[0] != ("mark", ")"):
            self._take("word", "AND")
            tests.append(self._any())
        return lambda entry: all(test(entry) for test in tests)

    def _any(self) -> Test:
        tests = [self._one()]
        while self._take("word", "OR"):
            tests.append(self._one())
        return lambda entry: any(test(entry) for test in tests)

    def _one(self) -> Test:
        if self._take("word", "NOT") or self._take("minus", "-"):
            inner = self._one()
            return lambda entry: not inner(entry)
        if self._take("mark", "("):
            inner = self._all()
            self._close()
            return inner
        kind, word = self._next()
        if kind not in {"word", "text"} or (kind == "word" and word in _JOINS):
            raise _unreadable(word)
        if self._tokens and self._tokens[0][0] == "op":
            return self._comparison(_path(word), self._next()[1])
        return _anywhere(_unquoted(word))

    def _comparison(self, path: tuple[str, ...], operator: str) -> Test:
        """A field against a value, or against several: `field=("a" OR "b")`."""
        if self._take("mark", "("):
            negated = self._take("word", "NOT")
            values = [self._value()]
            joins = set()
            while not self._take("mark", ")"):
                joins.add(self._next()[1])
                values.append(self._value())
            if not joins <= {"OR"} and not joins <= {"AND"}:
                raise _unreadable(" ".join(sorted(joins)))
            tests = [_compared(path, operator, value) for value in values]
            several = all if joins == {"AND"} else any
            return lambda entry: several(test(entry) for test in tests) != negated
        return _compared(path, operator, self._value())

    def _value(self) -> str:
        kind, word = self._next()
        if kind == "minus":
            return f"-{self._value()}"
        if kind not in {"word", "text"}:
            raise _unreadable(word)
        return _unquoted(word)

    def _close(self) -> None:
        if not self._take("mark", ")"):
            raise _unreadable("a bracket is not closed")

    def _take(self, kind: str, word: str) -> bool:
        if self._tokens and self._tokens[0] == (kind, word):
            self._tokens.pop(0)
            return True
        return False

    def _next(self) -> tuple[str, str]:
        if not self._tokens:
            raise _unreadable("the end")
        return self._tokens.pop(0)


def _compared(path: tuple[str, ...], operator: str, wanted: str) -> Test:
    """A test of one field. A field that is not there passes `!=` alone."""
    if operator in {"=~", "!~"}:
        return _matched(path, wanted, negated=operator == "!~")
    if operator == ":":
        return lambda entry: _has(member(entry, path), wanted)
    if operator == "=":
        return lambda entry: _same(path, member(entry, path), wanted)
    if operator == "!=":
        return lambda entry: not _same(path, member(entry, path), wanted)
    compare = _ORDER[operator]
    return lambda entry: _ordered(path, member(entry, path), wanted, compare)


def _matched(path: tuple[str, ...], wanted: str, *, negated: bool) -> Test:
    try:
        pattern = re.compile(wanted)
    except re.error as exc:
        raise _unreadable(f"{wanted} ({exc})") from None
    return lambda entry: (pattern.search(str(member(entry, path) or "")) is not None) != negated


def _same(path: tuple[str, ...], value: Any, wanted: str) -> bool:
    if value is None:
        return False
    if path[-1] in _TIMES:
        return _moment(value) == _moment(wanted)
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, (int, float)):
        return str(value) == wanted or _number(wanted) == value
    return str(value).lower() == wanted.lower()  # texts are compared without their case, says the documentation


def _ordered(path: tuple[str, ...], value: Any, wanted: str, compare: Callable[[Any, Any], bool]) -> bool:
    if value is None:
        return False
    if path[-1] in _TIMES:
        return compare(_moment(value), _moment(wanted))
    if path == ("severity",):
        return compare(SEVERITIES.index(str(value)), _severity(wanted))
    left, right = _number(str(value)), _number(wanted)
    if left is None or right is None:
        return compare(str(value).lower(), wanted.lower())
    return compare(left, right)


def _has(value: Any, wanted: str) -> bool:
    """`field:text`: the text is within; `field:*`: the field is there."""
    if wanted == "*":
        return value is not None
    return any(wanted.lower() in text.lower() for text in _texts(value))


def _anywhere(wanted: str) -> Test:
    return lambda entry: any(wanted.lower() in text.lower() for text in _texts(entry))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif value is not None:
        yield str(value)


def member(entry: Entry, path: tuple[str, ...]) -> Any:
    """What a path leads to; None where it leads nowhere."""
    found: Any = entry
    for part in path:
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def _path(word: str) -> tuple[str, ...]:
    """`resource.labels."a.b"` in its parts; names may be written in snake_case."""
    parts = [match[1] if match[1] is not None else match[2] for match in re.finditer(r'"([^"]*)"|([^."]+)', word)]
    if not parts:
        raise _unreadable(word)
    first = re.sub(r"_([a-z])", lambda match: match[1].upper(), parts[0])
    return (first, *parts[1:])


def _severity(text: str) -> int:
    if text.upper() in SEVERITIES:
        return SEVERITIES.index(text.upper())
    number = _number(text)
    if number is None:
        raise _unreadable(f"severity {text}")
    return int(number) // 100


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _unreadable(f"the time {text}") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.fromisoformat("1970-01-01T00:00:00Z").tzinfo)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') and word.endswith('"') else word


def _unreadable(where: str) -> Refusal:
    return refusals.invalid_argument(f"Unparseable filter: syntax error at '{where}'", "filter")
