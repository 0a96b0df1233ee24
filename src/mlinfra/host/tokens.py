"""Tokens by which a reader goes on where the page before ended; opaque to everybody but this room."""

from __future__ import annotations

import base64

from mlinfra.errors import UsageError


def encode(text: str) -> str:
    """A text as a token."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def decode(token: str) -> str:
    """The text that `encode` was given.

    Raises:
        UsageError: it was not made here.
    """
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as exc:
        raise refused(token) from exc


def refused(token: str) -> UsageError:
    """What is said of a token that was made up."""
    return UsageError(
        "not a token of this list",
        given=token,
        todo="pass the token of the page before, or none to start at the beginning",
    )
