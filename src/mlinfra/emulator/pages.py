"""Tokens that lead from one page of a list to the next.

A token says after which element to go on, so that what comes and goes between two pages shifts nothing; it belongs
to the question that it was given for.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class BadToken(ValueError):
    """The token is none, or of another question."""


def begin(token: str, question: Any, keys: Sequence[str]) -> int:
    """How many elements the pages before held; 0 without a token. `keys` name all elements, in order.

    Where the last one shown is gone, the count tells.

    Raises:
        BadToken: see there.
    """
    if not token:
        return 0
    try:
        told = json.loads(base64.urlsafe_b64decode(token))
        after, at, asked = told["after"], int(told["at"]), told["q"]
    except (ValueError, KeyError, TypeError):
        raise BadToken(token) from None
    if asked != _digest(question):
        raise BadToken(token)
    found = (number for number, key in enumerate(keys, 1) if _digest(key) == after)
    return next(found, min(at, len(keys)))


def follow(question: Any, keys: Sequence[str], end: int) -> str:
    """The token for what follows the first `end` elements; empty where nothing does."""
    if end >= len(keys):
        return ""
    document = {"q": _digest(question), "after": _digest(keys[end - 1]), "at": end}
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
