"""How settings travel to a runner or a model server: one compact JSON text, cut at the platform's limit; and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document

PREFIX = "MLINFRA_MANIFEST_"


def manifest_variables(document: Document, *, length: int, count: int, hidden: str = "") -> dict[str, str]:
    """`MLINFRA_MANIFEST_0…n`: at most `count` variables of at most `length` characters.

    `hidden` is what the platform would take for its own inside the texts, and is written so that JSON alone shows it.

    Raises:
        SpecError: it does not fit; says how large it is.
    """
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    if hidden:
        text = text.replace(hidden, "".join(f"\\u{ord(letter):04x}" for letter in hidden))
    parts = [text[start : start + length] for start in range(0, len(text), length)]
    if len(parts) > count:
        raise SpecError(
            "the settings are too large to travel with the request",
            given=f"{len(text):,} characters",
            allowed=f"{length * count:,} characters",
            todo="move long values from env and params into a file of the project",
        )
    return {f"{PREFIX}{number}": part for number, part in enumerate(parts)}


def read_manifest(variables: Mapping[str, str]) -> Document:
    """What `manifest_variables` wrote, as a platform keeps it with a job; empty for one of another tool."""
    parts: list[str] = []
    while (part := variables.get(f"{PREFIX}{len(parts)}")) is not None:
        parts.append(part)
    try:
        document = json.loads("".join(parts)) if parts else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
