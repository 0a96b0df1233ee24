"""Partial responses: `fields=items(name,size),nextPageToken` leaves only those members of a JSON document."""

from __future__ import annotations

from typing import Any

from mlinfra.emulator.gcp.storage import refusals

Wanted = dict[str, "Wanted"]  # a member and what of it; empty: all of it


def partial(document: dict[str, Any], fields: str) -> dict[str, Any]:
    """The members that were asked for; without `fields` the whole document.

    Raises:
        Refusal: the selection makes no sense.
    """
    if not fields:
        return document
    wanted, rest = _selection(fields)
    if rest:
        raise refusals.invalid(f"Invalid field selection {fields}")
    kept: dict[str, Any] = _kept(document, wanted)
    return kept


def _selection(text: str) -> tuple[Wanted, str]:
    """A list of members, and what stands behind it: nothing, or from the bracket that closes it."""
    wanted: Wanted = {}
    while True:
        name, inner, text = _member(text)
        wanted.setdefault(name, {}).update(inner)
        if not text.startswith(","):
            return wanted, text
        text = text[1:]


def _member(text: str) -> tuple[str, Wanted, str]:
    """One member, what of it, and what stands behind it."""
    end = next((at for at, letter in enumerate(text) if letter in ",()/"), len(text))
    name, rest = text[:end].strip(), text[end:]
    if not name:
        raise refusals.invalid(f"Invalid field selection {text}")
    if rest.startswith("/"):
        below, inner, rest = _member(rest[1:])
        return name, {below: inner}, rest
    if not rest.startswith("("):
        return name, {}, rest
    inner, rest = _selection(rest[1:])
    if not rest.startswith(")"):
        raise refusals.invalid(f"Invalid field selection {text}")
    return name, inner, rest[1:]


def _kept(value: Any, wanted: Wanted) -> Any:
    if not wanted or "*" in wanted:
        return value
    if isinstance(value, list):
        return [_kept(each, wanted) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _kept(value[name], inner) for name, inner in wanted.items() if name in value}
