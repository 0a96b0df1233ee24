"""Shared access signatures: addresses that carry a permission, signed by the account's key or a user's delegation key.

By the REST reference's "Create a service SAS" and "Create a user delegation SAS": the fields that are signed and their
order, which differ with `sv`. A delegation key is made of the user's and the key's own fields, so none is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from mlinfra.emulator.azure.storage import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.storage.names import Address

VERSION = "2023-11-03"
_FORMS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d")
_OLDEST = "2020-12-06"  # before it the strings that are signed differ
_DELEGATED_TENANTS, _BOUND_REQUESTS = "2025-07-05", "2026-04-06"
_RESPONSE = ("rscc", "rscd", "rsce", "rscl", "rsct")
_KEY = ("skoid", "sktid", "skt", "ske", "sks", "skv")
_RESOURCES = ("b", "c")


@dataclass(frozen=True)
class Grant:
    """What a signature permits: letters of `sp`, and in whose name it was delegated, if it was."""

    permissions: str
    principal: str = ""


class Signer:
    """Signs and checks for one emulator, whose `secret` no client knows."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def account_key(self, account: str) -> str:
        """An account's key, in base64."""
        return _mac(self._secret, f"account\n{account}")

    def delegation_key(self, account: str, fields: Mapping[str, str]) -> str:
        """The key of a user delegation: `fields` are `skoid`, `sktid`, `skt`, `ske`, `sks` and `skv`."""
        return _mac(self._secret, "\n".join(["delegation", account, *(fields.get(name, "") for name in _KEY)]))

    def sign(self, at: Address, permissions: str, now: datetime, lasting: timedelta) -> str:
        """The query of a service SAS on a container or a blob, as the service itself hands it out."""
        fields = {
            "sv": VERSION,
            "sr": "b" if at.name else "c",
            "sp": permissions,
            "st": (now - timedelta(minutes=5)).strftime(_FORMS[0]),
            "se": (now + lasting).strftime(_FORMS[0]),
            "spr": "https,http",
        }
        signature = _mac(base64.b64decode(self.account_key(at.account)), _text(fields, at))
        return urlencode({**fields, "sig": signature})

    def check(self, query: Mapping[str, str], at: Address, now: datetime) -> Grant:
        """What the signature in a query permits on what the request names.

        Raises:
            Refusal: AuthenticationFailed.
        """
        if query.get("sr") not in _RESOURCES or query.get("sv", "") < _OLDEST:
            raise refusals.not_emulated(f"A signature with sr={query.get('sr')} and sv={query.get('sv')}")
        delegated = "skoid" in query
        signed = at if query["sr"] == "b" else at._replace(name="")
        text = _text(query, signed)
        key = self.delegation_key(at.account, query) if delegated else self.account_key(at.account)
        if not hmac.compare_digest(_mac(base64.b64decode(key), text), query.get("sig", "")):
            reason = f"Signature did not match. String to sign used was {text}"
            raise refusals.bad_signature(reason)
        _check_times(query, now)
        return Grant(query.get("sp", ""), query.get("skoid", ""))


def _check_times(query: Mapping[str, str], now: datetime) -> None:
    for first, last, what in (("st", "se", "Signed"), ("skt", "ske", "Signed key")):
        begin, end = _moment(query.get(first, "")), _moment(query.get(last, ""))
        if (begin and now < begin) or (end and now > end) or (last == "se" and end is None):
            shown = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
            reason = f"{what} expiry time [{query.get(last)}] has to be after signed start time [{query.get(first)}]"
            raise refusals.bad_signature(f"Signature not valid in the specified time frame: {reason}; now {shown}")


def _text(fields: Mapping[str, str], at: Address) -> str:
    """What is signed."""
    version, delegated = fields["sv"], "skoid" in fields
    path = "/".join(part for part in (at.account, at.container, at.name) if part)
    if delegated:
        names = [*_KEY, "saoid", "suoid", "scid"]
        names += ["skdutid", "sduoid"] if version >= _DELEGATED_TENANTS else []
    else:
        names = ["si"]
    after = ["sip", "spr", "sv", "sr", "snapshot", "ses"]
    if delegated and version >= _BOUND_REQUESTS:
        if fields.get("srh") or fields.get("srq"):
            raise refusals.not_emulated("A signature that is bound to headers or queries")
        after += ["srh", "srq"]
    values = [
        *(fields.get(name, "") for name in ("sp", "st", "se")),
        f"/blob/{path}",
        *(fields.get(name, "") for name in (*names, *after, *_RESPONSE)),
    ]
    return "\n".join(values)


def _moment(text: str) -> datetime | None:
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _mac(key: bytes, text: str) -> str:
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
