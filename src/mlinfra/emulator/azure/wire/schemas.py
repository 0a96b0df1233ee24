"""The vendor's models of each api-version of Azure Machine Learning, as tools/schemas/azure_versions.py wrote them."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

_FILE = "models.json"


class Member(NamedTuple):
    """A member of a model.

    `kind` is a scalar (str, int, float, bool, object, datetime, duration), an enumeration, a model, `[kind]` or
    `{kind}`. `limits` are pattern, min_length and the like.
    """

    kind: str
    required: bool
    output: bool  # told by the service alone
    creation: bool  # cannot be changed later
    limits: dict[str, Any]


class Model(NamedTuple):
    """What an object may hold. `tag` is the member that tells which of `kinds` it is."""

    name: str
    members: dict[str, Member]
    tag: str
    kinds: dict[str, str]


class Schemas:
    """The models of one api-version."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._operations: dict[str, str] = document["operations"]
        self._models: dict[str, Any] = document["models"]
        self._enums: dict[str, list[str]] = document["enums"]
        self.names: dict[str, str] = document.get("names", {})  # of operations, with method and path; of the newest

    def body(self, method: str, path: str) -> str:
        """The name of the model of a body, by method and path template; empty where the version knows none."""
        return self._operations.get(key(method, path), "")

    def model(self, name: str) -> Model | None:
        """A model by name; None where there is none of that name."""
        found = self._models.get(name)
        if found is None:
            return None
        members = {key: _member(told) for key, told in found["members"].items()}
        return Model(name, members, found.get("tag", ""), found.get("kinds", {}))

    def values(self, name: str) -> list[str] | None:
        """The values of an enumeration; None where there is none of that name."""
        return self._enums.get(name)


def key(method: str, path: str) -> str:
    """An operation as it is looked up: without the names of the path's parameters."""
    return f"{method} {re.sub(r'{[^}]*}', '{}', path)}".lower()


@cache
def versions() -> tuple[str, ...]:
    """Every api-version whose models are kept, in order."""
    return tuple(_kept()["versions"])


@cache
def schemas(version: str) -> Schemas | None:
    """The models of an api-version; None where none are kept."""
    return Schemas(document(version)) if version in versions() else None


def having(method: str, path: str) -> tuple[str, ...]:
    """The api-versions that know a body of an operation."""
    return tuple(each for each in versions() if (known := schemas(each)) and known.body(method, path))


def document(version: str) -> dict[str, Any]:
    """What is kept of an api-version: operations, models, enumerations; of the newest also the operations' names.

    Raises:
        ValueError: nothing is kept of it.
    """
    kept, number = _kept(), versions().index(version)
    found = {part: _holding(kept[part], number) for part in ("operations", "enums")}
    models = {name: _model(told, number) for name, told in kept["models"].items()}
    names = {"names": kept["names"]} if version == versions()[-1] else {}
    return {**found, "models": {name: model for name, model in models.items() if model}, **names}


def published() -> dict[str, str]:
    """The operations of the newest api-version, by name, as `key` writes method and path."""
    names: dict[str, str] = _kept()["names"]
    return names


@cache
def _kept() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files(__package__).joinpath(_FILE).read_text())
    return document


def _model(told: dict[str, Any], number: int) -> dict[str, Any]:
    members = _holding(told["members"], number)
    rest = _holding({part: facts for part, facts in told.items() if part != "members"}, number)
    return {"members": members, **rest} if members or rest else {}


def _holding(facts: dict[str, list[list[Any]]], number: int) -> dict[str, Any]:
    """Of each name the fact that holds in the version of that number; names of which none does are left out."""
    return {name: fact for name, told in facts.items() for fact, ranges in told if _within(number, ranges)}


def _within(number: int, ranges: str) -> bool:
    """Whether "0-2,5-5" holds a number."""
    pairs = (each.split("-") for each in ranges.split(","))
    return any(int(begin) <= number <= int(end) for begin, end in pairs)


def _member(told: list[Any]) -> Member:
    kind, flags, *limits = told
    return Member(kind, "r" in flags, "o" in flags, "c" in flags, limits[0] if limits else {})
