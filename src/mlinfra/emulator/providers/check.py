"""Whether a resource's inputs are what its package declares: members known and there, types, closed lists, unions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.shapes import Anything, Enumerated, ListOf, MapOf, ObjectOf, Scalar, Shape
from mlinfra.emulator.providers.values import is_file, is_unknown, plain, revealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SHORTEST = 60  # characters of a value that are shown
_SIMPLE_KEY = re.compile(r"[\w-]+")
_NAMES = {bool: "bool", str: "string", int: "number", float: "number", list: "list", dict: "object"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `path` as the engine writes it: `productionVariants[0].modelName`."""

    path: str
    reason: str


def check_resource(token: str, inputs: Mapping[str, Any]) -> list[Finding]:
    """Everything that is wrong with the inputs of a resource, by their names on the wire.

    Secrets are looked into, what is unknown is taken as right. Values of open unions (a text or a known value) pass.

    Raises:
        NotFound: there is no such resource.
    """
    return list(_object(inputs, introspect.arguments_class(token), ""))


def _object(value: Mapping[str, Any], arguments: type, path: str) -> Iterator[Finding]:
    known = introspect.members(arguments)
    for name, item in value.items():
        if name in known:
            yield from _value(item, known[name].shapes, _joined(path, name))
        else:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield Finding(_joined(path, name), f"{arguments.__name__} has no such property{hint}")
    for name, member in known.items():
        if member.required and value.get(name) is None:
            yield Finding(_joined(path, name), f"{arguments.__name__} requires this property")


def _value(value: Any, shapes: tuple[Shape, ...], path: str) -> Iterator[Finding]:
    value = revealed(value)
    if value is None or is_unknown(value) or is_file(value) or not shapes or Anything() in shapes:
        return
    if isinstance(value, dict):
        yield from _mapping(value, shapes, path)
    elif isinstance(value, list):
        yield from _list(value, shapes, path)
    elif not any(_fits(value, shape) for shape in shapes):
        yield _mismatch(value, shapes, path)


def _mapping(value: Mapping[str, Any], shapes: tuple[Shape, ...], path: str) -> Iterator[Finding]:
    objects = [shape.arguments for shape in shapes if isinstance(shape, ObjectOf)]
    maps = [shape for shape in shapes if isinstance(shape, MapOf)]
    if objects:
        meant = objects if len(objects) == 1 else [each for each in objects if _is_meant(value, each)]
        if meant:
            yield from _object(value, meant[0], path)
        else:
            signs = sorted(
                {f"{name}={sign!r}" for each in objects for name, sign in introspect.constants(each).items()}
            )
            yield Finding(path, f"is none of {', '.join(each.__name__ for each in objects)}: set {' or '.join(signs)}")
    elif maps:
        for name, item in value.items():
            yield from _value(item, maps[0].item, _joined(path, name))
    else:
        yield _mismatch(value, shapes, path)


def _list(value: list[Any], shapes: tuple[Shape, ...], path: str) -> Iterator[Finding]:
    lists = [shape for shape in shapes if isinstance(shape, ListOf)]
    if not lists:
        yield _mismatch(value, shapes, path)
        return
    for number, item in enumerate(value):
        yield from _value(item, lists[0].item, f"{path}[{number}]")


def _is_meant(value: Mapping[str, Any], arguments: type) -> bool:
    signs = introspect.constants(arguments)
    return bool(signs) and all(plain(value.get(name)) == sign for name, sign in signs.items())


def _fits(value: Any, shape: Shape) -> bool:
    if isinstance(shape, Enumerated):
        return value in shape.values
    if not isinstance(shape, Scalar):
        return False
    if isinstance(value, bool):
        return shape.name == "bool"
    if isinstance(value, str):
        return shape.name == "string"
    return shape.name == "number" or (shape.name == "integer" and float(value).is_integer())


def _mismatch(value: Any, shapes: tuple[Shape, ...], path: str) -> Finding:
    allowed = " or ".join(dict.fromkeys(_told(shape) for shape in shapes))
    shown = json.dumps(plain(value))[:_SHORTEST]
    return Finding(path, f"expected {allowed}, got {_NAMES.get(type(value), type(value).__name__)} {shown}")


def _told(shape: Shape) -> str:
    match shape:
        case Scalar():
            return shape.name
        case Enumerated():
            return "one of " + ", ".join(map(repr, shape.values))
        case ListOf():
            return "list"
        case ObjectOf():
            return f"object ({shape.arguments.__name__})"
        case _:
            return "object"


def _joined(path: str, name: str) -> str:
    if not _SIMPLE_KEY.fullmatch(name):
        return f"{path}[{json.dumps(name)}]"
    return f"{path}.{name}" if path else name
