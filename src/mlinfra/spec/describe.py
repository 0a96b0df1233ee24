"""A field's type in words, for `spec explain` and the reference."""

import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mlinfra.spec.base import plain
from mlinfra.spec.notation import Notation
from mlinfra.spec.scalars import Plain, Text
from mlinfra.spec.walk import items_in

_WORDS: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Any: "any value"}
_CONTAINERS: Final = {tuple: "a list of", Mapping: "a mapping of names to"}


def type_in_words(info: FieldInfo) -> str:
    """What may stand in a field, with its bounds."""
    words = next((words for part in info.metadata if (words := _by_annotation(part))), "") or _words(info.annotation)
    bounds = [
        f"{sign} {bound}" for sign, bound in (("≥", _bound(info, "ge")), ("≤", _bound(info, "le"))) if bound is not None
    ]
    return ", ".join([words, *bounds])


def default_in_words(info: FieldInfo) -> str:
    """What holds where the field is absent; empty where it must not be, or nothing holds."""
    if info.is_required():
        return "required"
    default = plain(info.get_default(call_default_factory=True, validated_data={}))
    if default in (None, {}, [], ""):
        return ""
    return default if isinstance(default, str) else json.dumps(default)


def _bound(info: FieldInfo, name: str) -> float | None:
    return next((bound for part in info.metadata if (bound := getattr(part, name, None)) is not None), None)


def _by_annotation(part: Any) -> str:
    return part.allowed if isinstance(part, (Plain, Text)) else ""


def _words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return next((words for part in arguments[1:] if (words := _by_annotation(part))), "") or _words(arguments[0])
    if origin in {Union, UnionType}:
        return " or ".join(_words(part) for part in arguments if part is not NoneType)
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is not None:
        return f"{_CONTAINERS[origin]}: {_words(items_in(annotation))}"
    return _WORDS.get(annotation) or _by_class(annotation)


def _by_class(kind: type) -> str:
    return kind.ALLOWED if issubclass(kind, Notation) else "a mapping"
