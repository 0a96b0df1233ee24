"""What replies have in common: moments, as the client passes them on."""

from __future__ import annotations

from datetime import UTC, datetime


def time_of(text: str | None) -> datetime | None:
    """The moment that a text names; one without a zone is UTC."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
