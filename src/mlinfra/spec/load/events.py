"""The one place that knows the YAML library: its events in the least that is needed, its errors in our words."""

import re
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from mlinfra.errors import Problem
from mlinfra.spec.positions import Mark

Kind = Literal["document", "scalar", "alias", "list", "map", "end"]

_KINDS: Final[dict[str, Kind]] = {
    "DocumentStartEvent": "document",
    "ScalarEvent": "scalar",
    "AliasEvent": "alias",
    "SequenceStartEvent": "list",
    "MappingStartEvent": "map",
    "SequenceEndEvent": "end",
    "MappingEndEvent": "end",
}


class Event(NamedTuple):
    """One step through a YAML text."""

    kind: Kind
    mark: Mark
    text: str = ""  # of a scalar
    plain: bool = False  # a scalar without quotes
    anchor: str | None = None
    tag: str | None = None


class Unreadable(Exception):
    """From here on the text says nothing."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Words(NamedTuple):
    pattern: str
    what: str
    allowed: str
    todo: str
    at_beginning: bool = False  # of what was begun and not ended


_WORDS: Final = (
    _Words(r"character '\\t'", "a tab where YAML wants spaces", "spaces", "indent with spaces"),
    _Words(
        r"found character '(.)' that cannot",
        "a value cannot begin with {0}",
        "a value in quotes",
        "put the value in quotes",
    ),
    _Words(
        "mapping values are not allowed",
        "a colon where no key can stand",
        "one `key: value` on a line",
        "put text with a colon in quotes, or correct the indentation",
    ),
    _Words("expected ',' or ']'", "a list without its end", "[a, b]", "close it with ]", at_beginning=True),
    _Words("expected ',' or '}'", "a mapping without its end", "{{a: 1, b: 2}}", "close it with }}", at_beginning=True),
    _Words(
        "unexpected end of stream", "a quote without its end", "quotes in pairs", "close the quote", at_beginning=True
    ),
    _Words(
        "expected the node content",
        "a value is missing",
        "a value",
        "write the value, or close what is open",
    ),
    _Words(
        "expected <block end>", "the indentation does not fit", "keys of one mapping in one column", "align the keys"
    ),
    _Words(
        "expected '<document start>'", "text after the end of a value", "one value", "remove it, or put it in quotes"
    ),
    _Words("unknown escape character", "an unknown escape", r"\n, \t, \\ and others of YAML", "use single quotes"),
)
_OTHER: Final = _Words("", "not YAML: {problem}", "YAML 1.2", "correct the syntax")


def events(text: str, file: str) -> Iterator[Event]:
    """The events of a text, read as YAML 1.2; Unreadable where it is none."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # 30 ms that only a file needs
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415  # see above

    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if translated := _translated(event, file):
                yield translated
    except YAMLError as error:
        raise Unreadable(_syntax_problem(error, file)) from None


def _translated(event: Any, file: str) -> Event | None:
    kind = _KINDS.get(type(event).__name__)
    if kind is None:
        return None
    if kind == "document":
        _refuse_other_versions(event.version, _mark(event.start_mark), file)
    return Event(
        kind,
        _mark(event.start_mark),
        text=getattr(event, "value", ""),
        plain=kind == "scalar" and event.style is None,
        anchor=getattr(event, "anchor", None),
        tag=getattr(event, "tag", None),
    )


def _refuse_other_versions(version: tuple[int, int] | None, mark: Mark, file: str) -> None:
    if version not in {None, (1, 2)}:
        raise Unreadable(Problem("another version of YAML", "", file, *mark, "", "%YAML 1.2", "remove the %YAML line"))


def _syntax_problem(error: Any, file: str) -> Problem:
    message = getattr(error, "problem", None) or "it cannot be read"
    words, found = next(
        ((words, found) for words in _WORDS if (found := re.search(words.pattern, message))), (_OTHER, None)
    )
    begun, here = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    mark = begun if words.at_beginning and begun else here
    what, allowed, todo = (
        part.format(*(found.groups() if found else ()), problem=message)
        for part in (words.what, words.allowed, words.todo)
    )
    return Problem(what, "", file, *(_mark(mark) if mark else Mark(1, 1)), "", allowed, todo)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)
