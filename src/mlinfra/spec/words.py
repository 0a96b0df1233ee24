"""Pydantic's errors in plain words: what is wrong, what is allowed, what to do, with the nearest valid word."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlinfra.spec.findings import WRONG, Finding, Loc
from mlinfra.spec.limits import MAX_PROBLEMS
from mlinfra.spec.scalars import UnclearNumber, UnclearText, disagreement
from mlinfra.spec.walk import annotation_at, fields_of, model_in, paths

_LONGEST_WORD: Final = 64  # nobody mistypes a key into more
_MOST_WORDS: Final = 500  # to compare with: a file of thousands of names must not take minutes to refuse
_MOST_LISTED: Final = 40


class _Words(NamedTuple):
    what: str
    allowed: str
    todo: str


_MAPPING = _Words("not a mapping", "`key: value` pairs", "write a mapping, {{}} for an empty one")
_LIST = _Words("not a list", "a list such as [a, b]", "write a list, [] for an empty one")

WORDS: Final[Mapping[str, _Words]] = MappingProxyType(
    {
        "missing": _Words("missing", "exactly one value", "add the key"),
        "string_type": _Words("not a text", "text", "write one text, in quotes where it looks like a number"),
        "int_type": _Words("not a whole number", "a whole number such as 4", "write it in digits, without quotes"),
        "float_type": _Words("not a number", "a number such as 0.5", "write it in digits, without quotes"),
        "finite_number": _Words("not a finite number", "a finite number", "write it in digits"),
        "bool_type": _Words("neither true nor false", "true or false", "write true or false, without quotes"),
        "literal_error": _Words("not one of the known words", "{expected}", "write one of the allowed words"),
        "model_type": _MAPPING,
        "mapping_type": _MAPPING,
        "dict_type": _MAPPING,
        "tuple_type": _LIST,
        "greater_than_equal": _Words("too small", "{ge} or more", "choose a value within the bounds"),
        "less_than_equal": _Words("too large", "{le} or less", "choose a value within the bounds"),
        "too_long": _Words("too many entries", "at most {max_length}", "leave some out"),
        "too_short": _Words("too few entries", "at least {min_length}", "add one"),
        "string_too_short": _Words("empty", "at least one character", "write a value, or leave the key out"),
    }
)


def findings_in(model: type[BaseModel], error: ValidationError) -> list[Finding]:
    """What pydantic found, as far as anybody reads."""
    return [_finding(model, detail) for detail in error.errors(include_url=False)[: MAX_PROBLEMS + 1]]


def nearest(word: object, known: Iterable[str]) -> str:
    """The known word that was probably meant, empty where none is near."""
    if not isinstance(word, str) or len(word) > _LONGEST_WORD:
        return ""
    return next(iter(get_close_matches(word, islice(known, _MOST_WORDS), n=1)), "")


def listed(words: Iterable[str]) -> str:
    """What is known, as far as anybody reads."""
    names = list(words)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(names[:_MOST_LISTED]) + more or "nothing: none is declared"


def advise(word: object, known: Iterable[str], otherwise: str) -> str:
    """What to do about a word that is not known."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise


def unknown_key(model: type[BaseModel], loc: Loc) -> Finding:
    """The finding for a key that its place does not know."""
    key = str(loc[-1])
    inner = model_in(annotation_at(model, loc[:-1]))
    known = sorted(fields_of(inner)) if inner else []
    elsewhere = next((".".join(path) for path, _ in paths(model) if path[-1] == key), "")
    otherwise = f"did you mean {elsewhere}?" if elsewhere else "remove the key"
    todo = advise(key, known, otherwise)
    return Finding(loc, "unknown key", ", ".join(known), todo, given=key, has_value=True, at_key=True)


def _finding(model: type[BaseModel], detail: ErrorDetails) -> Finding:
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    at_key = detail["loc"][-1:] == ("[key]",)
    loc = tuple(part for part in detail["loc"] if not _is_internal(part))
    if kind == WRONG:
        return Finding(loc=loc, **{"given": given, "has_value": True, "at_key": at_key, **context})
    if kind == "extra_forbidden":
        return unknown_key(model, loc)
    words = _fill(WORDS.get(kind, _Words(detail["msg"], "a valid value", "see `mlinfra spec explain`")), context)
    if isinstance(given, (UnclearText, UnclearNumber)):
        what, todo = disagreement(given)
        words = words._replace(what=what, todo=todo)
    elif kind == "literal_error":
        words = words._replace(todo=advise(given, re.findall(r"'([^']*)'", words.allowed), words.todo))
    return Finding(loc, *words, given=given, has_value=kind != "missing", at_key=at_key)


def _is_internal(part: str | int) -> bool:
    """Pydantic's own marks in a place: a key, a branch of `code`."""
    return part in {"[key]", "<path>", "<git>"}


def _fill(words: _Words, context: Mapping[str, Any]) -> _Words:
    return _Words(*(text.format_map(context) for text in words))
