"""Lengths of time as ARM writes them: ISO 8601, `PT5S`, `P1DT2H`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION = TypeAdapter(timedelta)


def seconds(text: Any, target: str) -> float:
    """The seconds of a duration. Refusal where it is none; `target` is its path in the request."""
    if isinstance(text, str) and text.startswith(("P", "-P")):
        try:
            return _DURATION.validate_python(text).total_seconds()
        except ValidationError:
            pass
    raise refusals.invalid(f"The value '{text}' is not a valid duration in ISO 8601 format.", target)


def member(document: Mapping[str, Any], name: str, usual: float, target: str) -> float:
    """The seconds of a document's member, `usual` where it has none."""
    value = document.get(name)
    return usual if value is None else seconds(value, f"{target}.{name}")


def told(length: float) -> str:
    """Seconds as ARM writes them: 90 as `PT1M30S`, 5.5 as `PT5.5S`."""
    hours, rest = divmod(length, 3600)
    minutes, left = divmod(rest, 60)
    parts = [(int(hours), "H"), (int(minutes), "M"), (left, "S")]
    text = "".join(f"{value:g}{unit}" for value, unit in parts if value)
    return f"PT{text or '0S'}"
