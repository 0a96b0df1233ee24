"""Checks a request's body offline against the description that `tools/schemas` extracted from the vendor's.

The descriptions are JSON Schema, as far as the vendors' own languages need it, and `atMostOneOf`: groups of members of
which protobuf's `oneof` takes one. What a reply will fill in, and what is streamed from a file, counts as of the right
type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mlinfra.contract.requests import File, Ref
from mlinfra.errors import Problem

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": Mapping,
    "array": (list, tuple),
}
_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "minProperties": lambda value, bound: len(value) >= bound,
    "maxProperties": lambda value, bound: len(value) <= bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}
_LONGEST_LIST = 20  # names worth repeating in a message


def problems(
    schema: Mapping[str, Any], value: Any, where: str, whole: Mapping[str, Any] | None = None
) -> Iterator[Problem]:
    """Everything that is wrong with a value. `whole` holds the `$defs` that the schema refers to."""
    whole = schema if whole is None else whole
    if isinstance(value, Ref | File):
        return
    if "$ref" in schema:
        yield from problems(whole["$defs"][schema["$ref"].rpartition("/")[2]], value, where, whole)
    elif "anyOf" in schema:
        yield from _nearest_option(schema["anyOf"], value, where, whole)
    elif not _is_of(schema.get("type"), value):
        yield Problem(f"not of type {schema['type']}", path=where, given=repr(value), allowed=str(schema["type"]))
    else:
        yield from _of_right_type(schema, value, where, whole)


def unknown(what: str, given: str, allowed: Iterable[str], where: str) -> Problem:
    """A name that does not exist, with the nearest that does."""
    names = sorted(allowed)
    near = difflib.get_close_matches(given, names, 1)
    listed = ", ".join(names[:_LONGEST_LIST]) + (", …" if len(names) > _LONGEST_LIST else "")
    todo = f"did you mean {near[0]}?" if near else "remove it"
    return Problem(f"no such {what}", path=where, given=given, allowed=listed, todo=todo)


def _nearest_option(
    options: Sequence[Mapping[str, Any]], value: Any, where: str, whole: Mapping[str, Any]
) -> Iterator[Problem]:
    kinds = _kinds(options, whole)
    if kinds is not None and isinstance(value, Mapping) and kinds[0] in value:
        name, by_word = kinds
        word = value[name]
        if isinstance(word, Ref | File):
            return
        if word not in by_word:
            yield unknown("value", str(word), by_word, f"{where}.{name}")
            return
        options = [by_word[word]]
    found = [list(problems(option, value, where, whole)) for option in options]
    if all(found):
        yield from min(found, key=len)


def _kinds(
    options: Sequence[Mapping[str, Any]], whole: Mapping[str, Any]
) -> tuple[str, dict[str, Mapping[str, Any]]] | None:
    """The member that tells the options apart, and each one by its word; None where nothing does."""
    shapes = [whole["$defs"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in options]
    for name in shapes[0].get("required", ()):
        words = [shape.get("properties", {}).get(name, {}).get("enum", ()) for shape in shapes]
        if all(len(each) == 1 for each in words):
            return name, {each[0]: option for each, option in zip(words, options, strict=True)}
    return None


def _is_of(kind: str | None, value: Any) -> bool:
    if kind is None:
        return True
    if kind == "null":
        return value is None
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _of_right_type(schema: Mapping[str, Any], value: Any, where: str, whole: Mapping[str, Any]) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        yield unknown("value", str(value), map(str, schema["enum"]), where)
        return
    for name, holds in _BOUNDS.items():
        if name in schema and not holds(value, schema[name]):
            yield Problem(
                f"breaks {name} {schema[name]}", path=where, given=repr(value), allowed=f"{name} {schema[name]}"
            )
    if isinstance(value, Mapping):
        yield from _members(schema, value, where, whole)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from problems(schema.get("items", {}), item, f"{where}.{index}", whole)


def _members(
    schema: Mapping[str, Any], value: Mapping[str, Any], where: str, whole: Mapping[str, Any]
) -> Iterator[Problem]:
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield Problem("missing", path=f"{where}.{name}", allowed="a value", todo="add it")
    for group in schema.get("atMostOneOf", ()):
        given = sorted(value.keys() & set(group))
        if len(given) > 1:
            todo = f"remove {' and '.join(given[1:])}, or {given[0]}"
            yield Problem("exclude each other", path=where, given=", ".join(given), allowed="one of them", todo=todo)
    for name, member in value.items():
        if "propertyNames" in schema:
            yield from problems(schema["propertyNames"], name, f"{where}.{name}", whole)
        if name in known:
            yield from problems(known[name], member, f"{where}.{name}", whole)
        elif rest is False:
            yield unknown("member", name, known, f"{where}.{name}")
        elif isinstance(rest, Mapping):
            yield from problems(rest, member, f"{where}.{name}", whole)
