"""Who calls: applications and managed identities of one tenant, and the access tokens that were issued to them.

Tokens look like Entra ID's (three parts, claims that clients read: `oid`, `tid`, `appid`, `aud`, `exp`), but the
emulator knows its own by their value; nobody could check a signature here.
"""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

LIFETIME = timedelta(hours=24)  # of an access token of a managed identity; applications' last an hour
_BEARER = "bearer "

# Which addresses a token may be for, by the service that it is shown to.
AUDIENCES: dict[str, tuple[str, ...]] = {
    "management": ("https://management.azure.com", "https://management.core.windows.net"),
    "storage": ("https://storage.azure.com",),
    "ml": ("https://ml.azure.com", "https://ai.azure.com"),
    "vault": ("https://vault.azure.net",),
    "monitor": (
        "https://management.azure.com",
        "https://management.core.windows.net",
        "https://metrics.monitor.azure.com",
    ),
    "registry": ("https://containerregistry.azure.net", "https://management.azure.com"),
}
_ARM = {"management", "ml", "monitor"}  # of a cloud of its own, clients ask for tokens by its address
ANY = "*"  # a token that every service takes, which no tenant issues


@dataclass(frozen=True)
class Principal:
    """An application or a managed identity."""

    name: str
    object_id: str  # what roles are assigned to, and who calls
    client_id: str
    resource_id: str = ""  # of a user-assigned identity; empty for an application
    secret: str = ""  # of an application; managed identities have none


@dataclass(frozen=True)
class Credentials:
    """What one identity shows: a token that every service takes, and an application's id and secret."""

    principal: Principal
    token: str
    tenant: str

    def as_document(self) -> dict[str, str]:
        """What an environment holds of them."""
        return {
            "principal": self.principal.object_id,
            "token": self.token,
            "tenant": self.tenant,
            "client_id": self.principal.client_id,
            "client_secret": self.principal.secret,
        }


@dataclass(frozen=True)
class Issued:
    """A token as it was issued."""

    object_id: str
    audience: str
    expires: datetime | None


class Principals:
    """The applications and managed identities of one tenant. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = RLock()
        self._known: dict[str, Principal] = {}  # by object id
        self._issued: dict[str, Issued] = {}
        self._lasting: dict[str, str] = {}

    def create(self, name: str, resource_id: str = "") -> Principal:
        """Make an application, or with a resource id a user-assigned identity. Safe to repeat.

        Ids follow from the name, so that they are the same in every emulator.
        """
        space = uuid.UUID(self._emulator.place.subscription)
        key = resource_id.lower() or name
        made = Principal(
            name,
            str(uuid.uuid5(space, f"object {key}")),
            str(uuid.uuid5(space, f"client {key}")),
            resource_id,
            secrets.token_urlsafe(30),
        )
        with self._lock:
            return self._known.setdefault(made.object_id, made)

    def remove(self, object_id: str) -> None:
        """Delete one: its tokens are nobody's any more. Safe to repeat."""
        with self._lock:
            self._known.pop(object_id, None)
            self._lasting.pop(object_id, None)
            self._issued = {token: each for token, each in self._issued.items() if each.object_id != object_id}

    def get(self, object_id: str) -> Principal | None:
        """One by object id."""
        with self._lock:
            return self._known.get(object_id)

    def find(self, name: str) -> Principal | None:
        """One by client id, resource id, object id or name."""
        wanted = name.lower()
        with self._lock:
            for each in self._known.values():
                if wanted in {each.object_id, each.client_id, each.resource_id.lower(), each.name.lower()}:
                    return each
        return None

    def all(self) -> list[Principal]:
        """All of them, in the order in which they were made."""
        with self._lock:
            return list(self._known.values())

    def token(self, object_id: str, audience: str, lifetime: timedelta = LIFETIME) -> str:
        """A new access token of a principal for one audience, "https://storage.azure.com", or for ANY."""
        return self._issue(object_id, audience, self._emulator.clock.now() + lifetime)

    def credentials(self, object_id: str) -> Credentials:
        """What a principal shows; the same every time. KeyError where there is no such."""
        with self._lock:
            principal = self._known[object_id]
            if object_id not in self._lasting:
                self._lasting[object_id] = self._issue(object_id, ANY, None)
            return Credentials(principal, self._lasting[object_id], self._emulator.place.tenant)

    def caller(self, authorization: str, audience: str) -> str:
        """The object id of who shows an Authorization header to a service, one of AUDIENCES' keys.

        Raises:
            Refusal: 401, no token, none that was issued here, too old, or for another service.
        """
        place = self._emulator.place
        if not authorization:
            raise refusals.unauthenticated(place, missing=True)
        if not authorization.lower().startswith(_BEARER):
            raise refusals.unauthenticated(place)
        issued = self.issued(authorization[len(_BEARER) :].strip())
        own = {self._emulator.secure} if audience in _ARM else set()
        if issued.audience.rstrip("/") not in {*AUDIENCES[audience], *own, ANY}:
            raise refusals.unauthenticated(place, audience=issued.audience)
        return issued.object_id

    def assigned(self, request: Request, resource_id: str, action: str) -> str:
        """The object id of a user-assigned identity that a caller may assign.

        Raises:
            Refusal: the caller may not, or there is no such identity.
        """
        self._emulator.desk.allow(request.call, action, resource_id)
        found = self.find(resource_id)
        if found is None:
            raise refusals.resource_not_found(resource_id)
        return found.object_id

    def issued(self, token: str) -> Issued:
        """What is known of a token.

        Raises:
            Refusal: 401, as `caller`.
        """
        with self._lock:
            found = self._issued.get(token)
        if found is None or self.get(found.object_id) is None:
            raise refusals.unauthenticated(self._emulator.place)
        if found.expires is not None and found.expires <= self._emulator.clock.now():
            raise refusals.unauthenticated(self._emulator.place, expired=True)
        return found

    def _issue(self, object_id: str, audience: str, expires: datetime | None) -> str:
        principal = self.get(object_id)
        now = self._emulator.clock.now()
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self._emulator.place.tenant}/",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((expires or now + timedelta(days=3650)).timestamp()),
            "appid": principal.client_id if principal else "",
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            "tid": self._emulator.place.tenant,
            "ver": "1.0",
            "jti": secrets.token_hex(8),
        }
        head = {"typ": "JWT", "alg": "RS256", "kid": "emulated"}
        token = f"{_encoded(head)}.{_encoded(claims)}.{secrets.token_urlsafe(32)}"
        with self._lock:
            self._issued[token] = Issued(object_id, audience, expires)
        return token


def _encoded(document: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).rstrip(b"=").decode()
