"""What replies of the host have in common: moments, and words that may be new."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def time_of(text: str | None) -> datetime | None:
    """The moment that a text names."""
    return datetime.fromisoformat(text) if text else None


def moment(seconds: float | None) -> datetime | None:
    """The moment so many seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def word_of(words: Any, word: str, unknown: Any) -> Any:
    """The member of an enum, or what stands for a word that it does not have."""
    try:
        return words(word)
    except ValueError:
        return unknown
