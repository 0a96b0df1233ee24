"""Preconditions: a call counts only where the object is the generation, or the metadata, that the caller means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from werkzeug.datastructures import Headers

    from mlinfra.emulator.gcp.storage.records import Stored

_MEMBERS = {
    "GenerationMatch": "generation",
    "GenerationNotMatch": "not_generation",
    "MetagenerationMatch": "metageneration",
    "MetagenerationNotMatch": "not_metageneration",
}
_HEADERS = {
    "x-goog-if-generation-match": "generation",
    "x-goog-if-metageneration-match": "metageneration",
}


@dataclass(frozen=True)
class Conditions:
    """What must hold. A generation of 0 stands for no object at all."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None
    etags: tuple[str, ...] = ()
    not_etags: tuple[str, ...] = ()

    def check(self, current: Stored | None, *, reading: bool = False) -> None:
        """Refuse a call whose conditions do not hold for what is there.

        Raises:
            Refusal: PreconditionFailed; NotModified, of a read that wants another object than the one it knows.
        """
        generation, metageneration = (current.generation, current.metageneration) if current else (0, 0)
        tags = {current.etag, current.entity} if current else set()
        wanted = [
            self.generation in {None, generation},
            self.metageneration in {None, metageneration},
            not self.etags or _has(self.etags, tags),
        ]
        unwanted = [
            self.not_generation == generation,
            self.not_metageneration == metageneration,
            bool(self.not_etags) and _has(self.not_etags, tags),
        ]
        if not all(wanted):
            raise refusals.condition()
        if any(unwanted):
            raise refusals.not_modified() if reading else refusals.condition("If-None-Match")


def of_query(query: Mapping[str, str], headers: Headers, prefix: str = "if") -> Conditions:
    """The JSON API's: `ifGenerationMatch=7`; `ifSource` is the prefix of a copy's other end."""
    numbers: dict[str, Any] = {member: _number(query.get(prefix + name)) for name, member in _MEMBERS.items()}
    return Conditions(**numbers, **_tags(headers))


def of_headers(headers: Headers) -> Conditions:
    """The XML API's: `x-goog-if-generation-match: 7`, and HTTP's own."""
    numbers: dict[str, Any] = {member: _number(headers.get(name)) for name, member in _HEADERS.items()}
    return Conditions(**numbers, **_tags(headers))


def _tags(headers: Headers) -> dict[str, Any]:
    return {"etags": _listed(headers.get("If-Match", "")), "not_etags": _listed(headers.get("If-None-Match", ""))}


def _listed(header: str) -> tuple[str, ...]:
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip())


def _has(wanted: tuple[str, ...], tags: set[str]) -> bool:
    """`*` means any object that is there."""
    return bool(tags) and ("*" in wanted or not tags.isdisjoint(wanted))


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal():
        raise refusals.invalid(f"Invalid unsigned integer value: '{text}'.")
    return int(text)
