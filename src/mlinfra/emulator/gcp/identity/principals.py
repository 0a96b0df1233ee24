"""Who calls: service accounts, the access tokens that were issued to them, and the keys with which they sign their own.

A client shows either an access token, which it got from the token endpoint, or a token that it signed itself with a
key of its service account (RS256): the vendor's clients do both by default.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.identity.keys import Key, claims_of, new_key
from mlinfra.emulator.gcp.names import UNIVERSE
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mlinfra.emulator.gcp.emulator import GcpEmulator

LIFETIME = timedelta(hours=1)  # of an access token
_BEARER = "bearer "
_PRIVATE = 0o600
_FAR = "2999-01-01T00:00:00Z"


@dataclass(frozen=True)
class Credentials:
    """What one identity shows: an access token, and files that the vendor's clients read."""

    principal: str
    token: str
    _principals: Principals

    @property
    def file(self) -> Path:
        """The access token as application default credentials: what GOOGLE_APPLICATION_CREDENTIALS may name."""
        return self._principals.token_file(self)

    @property
    def key_file(self) -> Path:
        """The key file. Made when it is first asked for, for a key takes its time."""
        return self._principals.key_file(self.principal)

    def as_document(self) -> dict[str, str]:
        """What an environment holds of them."""
        return {"principal": self.principal, "token": self.token}


@dataclass(frozen=True)
class _Issued:
    principal: str
    expires: datetime | None


class Principals:
    """The service accounts of one project. Thread-safe."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lock = RLock()
        self._accounts: dict[str, str] = {}  # e-mail -> numeric id
        self._issued: dict[str, _Issued] = {}
        self._keys: dict[str, Key] = {}  # by id
        self._own: dict[str, Credentials] = {}
        domain = f"service-{emulator.project_number}@gcp-sa-aiplatform"
        self.agent = f"{domain}.iam.gserviceaccount.com"  # in whose name Vertex AI acts where a request names nobody
        self.code_agent = f"{domain}-cc.iam.gserviceaccount.com"  # and in whose name custom code runs then
        for email in (self.agent, self.code_agent):
            self.create(email)

    def create(self, email: str) -> None:
        """Make a service account. Safe to repeat."""
        with self._lock:
            self._accounts.setdefault(email, str(secrets.randbelow(9 * 10**20) + 10**20))

    def remove(self, email: str) -> None:
        """Delete a service account: its tokens and keys are nobody's any more. Safe to repeat."""
        with self._lock:
            self._accounts.pop(email, None)
            self._own.pop(email, None)
            self._issued = {token: each for token, each in self._issued.items() if each.principal != email}
            self._keys = {name: key for name, key in self._keys.items() if key.email != email}

    def exists(self, email: str) -> bool:
        """Whether there is such a service account."""
        with self._lock:
            return email in self._accounts

    def emails(self) -> list[str]:
        """All service accounts, in the order in which they were made."""
        with self._lock:
            return list(self._accounts)

    def unique_id(self, email: str) -> str:
        """A service account's numeric id."""
        with self._lock:
            return self._accounts[email]

    def token(self, email: str, *, lasting: bool = False) -> str:
        """A new access token of a service account; `lasting` as long as the emulator, else an hour."""
        token = f"ya29.{secrets.token_urlsafe(48)}"
        expires = None if lasting else self._emulator.clock.now() + LIFETIME
        with self._lock:
            self._issued[token] = _Issued(email, expires)
        return token

    def credentials(self, email: str) -> Credentials:
        """An access token and a key file of a service account; the same ones every time."""
        with self._lock:
            if email not in self._own:
                token = self.token(email, lasting=True)
                self._own[email] = Credentials(email, token, self)
            return self._own[email]

    def caller(self, authorization: str) -> str:
        """The e-mail of who shows an Authorization header; empty where there is none.

        Raises:
            Refusal: UNAUTHENTICATED, it is nothing that was issued here, or too old.
        """
        if not authorization:
            return ""
        if not authorization.lower().startswith(_BEARER):
            raise refusals.unauthenticated()
        return self.holder(authorization[len(_BEARER) :].strip())

    def holder(self, token: str) -> str:
        """The e-mail of a token's holder.

        Raises:
            Refusal: UNAUTHENTICATED, as above.
        """
        now = self._emulator.clock.now()
        with self._lock:
            issued = self._issued.get(token)
        if issued is None:
            return self.signer(token)
        if (issued.expires is not None and issued.expires <= now) or not self.exists(issued.principal):
            raise refusals.unauthenticated()
        return issued.principal

    def expiry(self, token: str) -> datetime:
        """When an access token ends; one that lasts is told to end in an hour."""
        with self._lock:
            issued = self._issued.get(token)
        return (issued.expires if issued else None) or self._emulator.clock.now() + LIFETIME

    def signer(self, token: str) -> str:
        """The e-mail of the service account whose key signed a token.

        Raises:
            Refusal: UNAUTHENTICATED, no key that is known here signed it, or it is too old.
        """
        with self._lock:
            keys = dict(self._keys)
        claims = claims_of(token, keys, self._emulator.clock.now())
        if claims is None or not self.exists(str(claims["iss"])):
            raise refusals.unauthenticated()
        return str(claims["iss"])

    def token_file(self, credentials: Credentials) -> Path:
        """A token in the form in which the vendor's command line leaves one for its user's programs.

        With this kind alone the authentication library asks nobody else: for service accounts it asks Google, in the
        background, where they may work.
        """
        return self._written(
            f"{_own(credentials.principal)}.json",
            {
                "type": "authorized_user",
                "account": credentials.principal,
                "token": credentials.token,
                "expiry": _FAR,
                "client_id": "emulated",
                "client_secret": "emulated",
                "refresh_token": "emulated",
                "universe_domain": "googleapis.com",
            },
        )

    def key_file(self, email: str) -> Path:
        """A key file as the vendor's console hands them out, with our own token endpoint in it. The same every time."""
        name = f"{_own(email)}-key.json"
        with self._lock:
            if any(key.email == email for key in self._keys.values()):
                return self._folder / name
            key, private = new_key(email)
            self._keys[key.id] = key
        return self._written(
            name,
            {
                "type": "service_account",
                "project_id": self._emulator.project,
                "private_key_id": key.id,
                "private_key": private,
                "client_email": email,
                "client_id": self.unique_id(email),
                "token_uri": f"{self._emulator.url}/token",
                "universe_domain": UNIVERSE,
            },
        )

    @property
    def _folder(self) -> Path:
        return self._emulator.folder / "client"

    def _written(self, name: str, document: dict[str, Any]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / name
        path.touch(_PRIVATE)
        path.write_text(json.dumps(document, indent=2))
        return path


def _own(email: str) -> str:
    return email.partition("@")[0]
