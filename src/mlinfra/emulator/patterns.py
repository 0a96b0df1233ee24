"""Patterns with `*` and `?`, as policies and fault rules write them; no other character is special."""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = {"*": ".*", "?": "."}


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is what the pattern describes; case counts."""
    return pattern in {"*", text} or _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    collapsed = re.sub(r"\*+", "*", pattern)
    return re.compile("".join(_SPECIAL.get(letter) or re.escape(letter) for letter in collapsed), re.DOTALL)
