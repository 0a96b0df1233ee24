"""What an input may look like, as a few plain classes; `introspect` reads them out of the provider packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True)
class Anything:
    """No rule."""


@dataclass(frozen=True)
class Scalar:
    """A text, a truth value or a number."""

    name: Literal["string", "bool", "integer", "number"]


@dataclass(frozen=True)
class Enumerated:
    """One of a closed list of values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class ListOf:
    """A list."""

    item: tuple[Shape, ...]


@dataclass(frozen=True)
class MapOf:
    """A map from texts."""

    item: tuple[Shape, ...]


@dataclass(frozen=True)
class ObjectOf:
    """An object whose members one of the package's classes of arguments declares."""

    arguments: type


Shape: TypeAlias = Anything | Scalar | Enumerated | ListOf | MapOf | ObjectOf


@dataclass(frozen=True)
class Member:
    """One input: its name on the wire and in Python, and what it may be."""

    wire: str
    python: str
    shapes: tuple[Shape, ...]  # alternatives; none means nothing is said
    required: bool
