"""Each request's body against the models of its own api-version.

Unknown members, wrong types, values that no enumeration has, missing members and broken limits are refused, all of
them at once. What the service alone tells is dropped, as the models' documentation says: "will be ignored when sending
a request". A number or a truth is taken for its text where a text is asked for, which the vendor's own client counts on
(`hash_version` of code). How the service words these is not published but for a few sentences of its JSON reader.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.emulator.azure.wire.schemas import Member, Model, Schemas

_DURATION = re.compile(r"-?P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?")


class Problem(NamedTuple):
    """What is wrong where."""

    path: str
    told: str


def checked(schemas: Schemas, name: str, body: dict[str, Any], *, partial: bool = False) -> dict[str, Any]:
    """A body without what the service alone tells, and with the values of enumerations as they are published.

    `partial` is a PATCH: nothing is required, and null takes a value away.

    Raises:
        Refusal: it breaks the model; holds every problem.
    """
    walk = _Walk(schemas, partial=partial)
    found: dict[str, Any] = walk.value(name, body, "")
    if walk.problems:
        raise _refused(walk.problems)
    return found


class _Walk:
    """One body on its way through the models."""

    def __init__(self, schemas: Schemas, *, partial: bool) -> None:
        self._schemas = schemas
        self._partial = partial
        self.problems: list[Problem] = []

    def value(self, kind: str, value: Any, path: str, limits: dict[str, Any] | None = None) -> Any:
        """A value of a kind, as the handlers get it."""
        if value is None:
            return None
        if kind[0] in "[{":
            return self._many(kind, value, path)
        model = self._schemas.model(kind)
        if model is not None:
            return self._object(model, value, path)
        values = self._schemas.values(kind)
        if values is not None:
            return self._listed(kind, values, value, path)
        if kind == "str" and isinstance(value, (bool, int, float)):
            value = json.dumps(value)
        wrong = _SCALARS[kind](value)
        if wrong:
            self._note(path, f"Error converting value {_shown(value)} to type '{wrong}'.")
        else:
            self._limit(value, limits or {}, path)
        return value

    def _many(self, kind: str, value: Any, path: str) -> Any:
        inner = kind[1:-1]
        if kind[0] == "[":
            if not isinstance(value, list):
                return self._note(path, f"Error converting value {_shown(value)} to an array.")
            return [self.value(inner, each, f"{path}[{number}]") for number, each in enumerate(value)]
        if not isinstance(value, dict):
            return self._note(path, f"Error converting value {_shown(value)} to an object.")
        return {key: self.value(inner, each, f"{path}.{key}") for key, each in value.items()}

    def _object(self, model: Model, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return self._note(path, f"Error converting value {_shown(value)} to type '{model.name}'.")
        if model.kinds:
            kind = self._kind(model, value, path)
            if kind is None:
                return None
            value, model = {**value, model.tag: kind}, self._schemas.model(model.kinds[kind]) or model
        found: dict[str, Any] = {}
        for key, each in value.items():
            member = model.members.get(key)
            if member is None:
                told = f"Could not find member '{key}' on object of type '{model.name}'."
                self._note(_joined(path, key), told)
            elif not member.output and (each is not None or self._partial):
                found[key] = self.value(member.kind, each, _joined(path, key), member.limits)
        if not self._partial:
            self._required(model.members, value, path)
        return found

    def _kind(self, model: Model, value: dict[str, Any], path: str) -> str | None:
        """Which of a family of models an object is, as the family spells it; None where it is none."""
        told = value.get(model.tag)
        known = {name.lower(): name for name in model.kinds}
        if told is None:
            self._note(_joined(path, model.tag), f"The {model.tag} field is required.")
            return None
        if not isinstance(told, str) or told.lower() not in known:
            allowed = ", ".join(model.kinds)
            self._note(_joined(path, model.tag), f"Unknown {model.tag} {_shown(told)}; known are {allowed}.")
            return None
        return known[told.lower()]

    def _required(self, members: dict[str, Member], value: dict[str, Any], path: str) -> None:
        for key, member in members.items():
            if member.required and value.get(key) is None:
                self._note(_joined(path, key), f"The {key} field is required.")

    def _listed(self, kind: str, values: list[str], value: Any, path: str) -> Any:
        known = {each.lower(): each for each in values}
        if not isinstance(value, str) or value.lower() not in known:
            told = f"Error converting value {_shown(value)} to type '{kind}'; known are {', '.join(values)}."
            return self._note(path, told)
        return known[value.lower()]

    def _limit(self, value: Any, limits: dict[str, Any], path: str) -> None:
        for name, limit in limits.items():
            broken = _LIMITS.get(name)
            if broken and broken(value, limit):
                self._note(path, f"The value {_shown(value)} breaks the rule {name} {limit}.")

    def _note(self, path: str, told: str) -> None:
        self.problems.append(Problem(path, told))


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "System.String"


def _number(value: Any) -> str:
    return "" if isinstance(value, (int, float)) and not isinstance(value, bool) else "System.Double"


def _integer(value: Any) -> str:
    return "System.Int32" if _number(value) or value != int(value) else ""


def _truth(value: Any) -> str:
    return "" if isinstance(value, bool) else "System.Boolean"


def _duration(value: Any) -> str:
    return "" if isinstance(value, str) and _DURATION.fullmatch(value) else "System.TimeSpan"


def _moment(value: Any) -> str:
    return "" if isinstance(value, str) and _MOMENT.fullmatch(value) else "System.DateTimeOffset"


def _anything(_value: Any) -> str:
    return ""


# What a value is not, in the words of the service's own platform; empty where it is what it should be.
_SCALARS: dict[str, Callable[[Any], str]] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _truth,
    "duration": _duration,
    "datetime": _moment,
    "object": _anything,
}
_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "pattern": lambda value, limit: isinstance(value, str) and re.search(limit, value) is None,
    "min_length": lambda value, limit: isinstance(value, str) and len(value) < limit,
    "max_length": lambda value, limit: isinstance(value, str) and len(value) > limit,
    "minimum": lambda value, limit: isinstance(value, (int, float)) and value < limit,
    "maximum": lambda value, limit: isinstance(value, (int, float)) and value > limit,
}


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) < 100 else f"{text[:100]}…"  # noqa: PLR2004  enough to know it again


def _refused(problems: list[Problem]) -> Exception:
    first = problems[0]
    details = [{"code": "InvalidProperty", "message": each.told, "target": each.path} for each in problems]
    error = refusals.invalid(f"The request is invalid. {first.told} Path '{first.path}'.", first.path)
    error.details["details"] = details
    return error
