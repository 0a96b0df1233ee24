"""How settings travel to a runner or a model server: one compact JSON text, cut at the platform's limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlinfra.errors import SpecError

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document

PREFIX = "MLINFRA_MANIFEST_"


def manifest_variables(document: Document, *, length: int, count: int) -> dict[str, str]:
    """`MLINFRA_MANIFEST_0…n`: at most `count` variables of at most `length` characters.

    Raises:
        SpecError: it does not fit; says how large it is.
    """
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    parts = [text[start : start + length] for start in range(0, len(text), length)]
    if len(parts) > count:
        raise SpecError(
            "the settings are too large to travel with the request",
            given=f"{len(text):,} characters",
            allowed=f"{length * count:,} characters",
            todo="move long values from env and params into a file of the project",
        )
    return {f"{PREFIX}{number}": part for number, part in enumerate(parts)}
