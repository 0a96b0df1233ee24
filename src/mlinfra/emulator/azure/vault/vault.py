"""Key Vault's REST interface for secrets, version 7.4: a secret is set, read, listed by its versions, deleted.

By the vendor's REST reference; the challenge to callers without a token is what its clients learn the tenant from.
Vaults are the first part of the path behind `/vaults/`, where the service has a host for each.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.emulator import AzureEmulator

SERVICE = "Microsoft.KeyVault"
_PATH = re.compile(r"/vaults/(?P<vault>[a-zA-Z0-9-]{3,24})/secrets(?:/(?P<name>[^/]+))?(?:/(?P<version>[^/]*))?/?")
_NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_LARGEST = 25 * 1024  # bytes
_CALLS = {
    ("GET", True): ("GetSecret", "getSecret/action"),
    ("PUT", True): ("SetSecret", "setSecret/action"),
    ("DELETE", True): ("DeleteSecret", "delete"),
    ("GET", False): ("GetSecrets", "readMetadata/action"),
}


@dataclass(frozen=True)
class Version:
    """One version of a secret; times in seconds since 1970."""

    id: str
    value: str
    created: int
    content_type: str = ""


class Vault:
    """The vaults of one subscription: each a mapping of secrets, each a list of versions. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._vaults: dict[str, dict[str, list[Version]]] = {}

    def put(self, vault: str, name: str, value: str, content_type: str = "") -> Version:
        """Add a version to a secret, which is made where it is not there, as is its vault."""
        if not _NAME.fullmatch(name):
            raise refusals.refusal("BadParameter", f"The request URI contains an invalid name: {name}")
        made = Version(secrets.token_hex(16), value, int(self._emulator.clock.now().timestamp()), content_type)
        with self._lock:
            self._vaults.setdefault(vault, {}).setdefault(name, []).append(made)
        return made

    def value(self, vault: str, name: str, version: str = "") -> Version:
        """A version of a secret, the newest where none is named.

        Raises:
            Refusal: SecretNotFound.
        """
        with self._lock:
            versions = list(self._vaults.get(vault, {}).get(name, ()))
        found = [each for each in versions if version in {"", each.id}]
        if not found:
            told = (
                f"A secret with (name/id) {name}{f'/{version}' if version else ''} was not found in this key vault. If "
                "you recently deleted this secret you may be able to recover it using the correct recovery command."
            )
            raise refusals.refusal("SecretNotFound", told, 404)
        return found[-1]

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Secrets are the user's own."""
        return []

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def _answer(self, request: Request) -> Response:
        found = _PATH.fullmatch(request.path)
        call = _CALLS.get((request.method, bool(found and found["name"])))
        if found is None or call is None:
            raise refusals.not_emulated(f"{request.method} {request.path} of Key Vault")
        principal = self._caller(request)
        if not request.args.get("api-version"):
            raise refusals.refusal("BadParameter", "The api-version query parameter is required.")
        operation, action = call
        scope = self._emulator.place.id(SERVICE, "vaults", found["vault"])
        asked = Call(
            SERVICE,
            operation,
            principal=principal,
            body={"vault": found["vault"], "name": found["name"] or ""},
            control=False,
        )

        def act() -> dict[str, Any]:
            path = f"{scope}/secrets/{found['name']}" if found["name"] else scope
            self._allow(asked, f"{SERVICE}/vaults/secrets/{action}", path)
            return self._done(operation, request, found["vault"], found["name"] or "", found["version"] or "")

        return httpcalls.replied(self._emulator.desk.admit(asked, act))

    def _done(self, operation: str, request: Request, vault: str, name: str, version: str) -> dict[str, Any]:
        base = f"{request.host_url}vaults/{vault}/secrets"
        if operation == "GetSecret":
            return _told(base, name, self.value(vault, name, version))
        if operation == "SetSecret":
            body = httpcalls.document(request)
            value = body.get("value") if isinstance(body, dict) else None
            if not isinstance(value, str) or len(value.encode()) > _LARGEST:
                raise refusals.refusal("BadParameter", "The value of a secret must be a text of at most 25 kB.")
            return _told(base, name, self.put(vault, name, value, str(body.get("contentType") or "")))
        if operation == "DeleteSecret":
            last = self.value(vault, name)
            with self._lock:
                self._vaults[vault].pop(name, None)
            told = _told(base, name, last)
            return {"id": told["id"], "attributes": told["attributes"]}
        with self._lock:
            newest = {each: versions[-1] for each, versions in sorted(self._vaults.get(vault, {}).items())}
        shown = [
            {"id": f"{base}/{each}", "attributes": _told(base, each, last)["attributes"]}
            for each, last in newest.items()
        ]
        return {"value": shown, "nextLink": None}

    def _caller(self, request: Request) -> str:
        """Who calls; nobody learns where tokens are to be had."""
        try:
            return httpcalls.caller(self._emulator, request, "vault")
        except Refusal as exc:
            tenant = f"{self._emulator.secure}/{self._emulator.place.tenant}"
            challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
            told = "AKV10000: Request is missing a Bearer or PoP token."
            if request.headers.get("Authorization"):
                told = f"AKV10032: Invalid token. {exc.message}"
            raise refusals.refusal("Unauthorized", told, 401, headers={"WWW-Authenticate": challenge}) from None

    def _allow(self, call: Call, action: str, scope: str) -> None:
        """Ask for a data action.

        Raises:
            Refusal: Forbidden, in the vault's own words.
        """
        if not self._emulator.desk.enforce:
            return
        if not self._emulator.policy.decide(call.principal, action, scope).allowed:
            told = (
                "Caller is not authorized to perform action on resource.\r\n"
                f"Caller: oid={call.principal}\r\nAction: '{action}'\r\nResource: '{scope.lower()}'"
            )
            info = {"code": "ForbiddenByRbac"}
            raise refusals.refusal("Forbidden", told, 403, more={"innererror": info})


def _told(base: str, name: str, version: Version) -> dict[str, Any]:
    attributes = {"enabled": True, "created": version.created, "updated": version.created}
    told: dict[str, Any] = {
        "value": version.value,
        "id": f"{base}/{name}/{version.id}",
        "attributes": {**attributes, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90},
    }
    return {**told, "contentType": version.content_type} if version.content_type else told


OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        name,
        validated="names and values",
        differences=("expiry, recovery, certificates and keys are not emulated; access is by role assignments alone",),
    )
    for name, _ in sorted(_CALLS.values())
)
