"""RSA keys of service accounts, and the tokens that are signed with them (RFC 7515 and 7519, RS256 alone)."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_BITS = 2048
_SKEW = timedelta(minutes=5)  # a client's clock may be that far off


@dataclass(frozen=True)
class Key:
    """What is kept of a service account's key: its public half."""

    id: str
    email: str
    public: rsa.RSAPublicKey


def new_key(email: str) -> tuple[Key, str]:
    """A key for a service account, and its private half as PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Key(secrets.token_hex(20), email, private.public_key()), text.decode()


def claims_of(token: str, keys: Mapping[str, Key], now: datetime) -> dict[str, Any] | None:
    """What a signed token says; None where none of the keys signed it, it speaks for another one, or it is too old."""
    try:
        head, body, signature = (_decoded(part) for part in token.split("."))
        header, claims = json.loads(head), json.loads(body)
        key = keys[header["kid"]]
        key.public.verify(signature, token.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())
        begin, end = float(claims["iat"]), float(claims["exp"])
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return None
    skew = _SKEW.total_seconds()
    valid = begin - skew <= now.timestamp() <= end + skew
    return claims if valid and header.get("alg") == "RS256" and claims.get("iss") == key.email else None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
