"""What a caller shows to an endpoint: one of two keys, or a token of the workspace that ends some time.

After EndpointAuthKeys and EndpointAuthToken in the generated models, and the guide "Authenticate clients for online
endpoints".
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

KEY, AML_TOKEN, AAD_TOKEN = "Key", "AMLToken", "AADToken"
PRIMARY = "Primary"
_BYTES = 24  # 32 characters
_LIFETIME = timedelta(hours=8)
_REFRESH = timedelta(hours=4)


def _key() -> str:
    return secrets.token_urlsafe(_BYTES)


@dataclass
class Keys:
    """An endpoint's keys, and the tokens that were issued for it. Thread-safe."""

    primary: str = field(default_factory=_key)
    secondary: str = field(default_factory=_key)
    tokens: dict[str, datetime] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def given(cls, asked: Mapping[str, Any]) -> Keys:
        """The keys of a request that creates an endpoint, made up where it names none."""
        return cls(asked.get("primaryKey") or _key(), asked.get("secondaryKey") or _key())

    def as_document(self) -> dict[str, str]:
        """EndpointAuthKeys."""
        return {"primaryKey": self.primary, "secondaryKey": self.secondary}

    def regenerate(self, which: str, value: str | None) -> None:
        """Replace a key by another, whose value may be given; the old one is worth nothing from now on.

        The key's present value asks for a new one: MLClient sends it, and its tests expect another one afterwards.
        """
        with self.lock:
            present = self.primary if which == PRIMARY else self.secondary
            made = value if value and value != present else _key()
            if which == PRIMARY:
                self.primary = made
            else:
                self.secondary = made

    def issue(self, now: datetime) -> dict[str, Any]:
        """EndpointAuthToken: a new token; its times are seconds since 1970."""
        token = f"{_key()}.{_key()}"
        with self.lock:
            self.tokens = {each: end for each, end in self.tokens.items() if end > now}
            self.tokens[token] = now + _LIFETIME
        return {
            "accessToken": token,
            "expiryTimeUtc": int((now + _LIFETIME).timestamp()),
            "refreshAfterTimeUtc": int((now + _REFRESH).timestamp()),
            "tokenType": "Bearer",
        }

    def takes_key(self, text: str) -> bool:
        """Whether it is one of the keys."""
        with self.lock:
            return any(secrets.compare_digest(text.encode(), key.encode()) for key in (self.primary, self.secondary))

    def takes_token(self, text: str, now: datetime) -> bool:
        """Whether it is a token that has not ended."""
        with self.lock:
            end = self.tokens.get(text)
        return end is not None and end > now
