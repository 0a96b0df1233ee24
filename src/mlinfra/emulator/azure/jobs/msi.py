"""The tokens of managed identities inside of jobs and servers: `MSI_ENDPOINT` and `MSI_SECRET`.

By azure-identity's `azure_ml` credential: `GET <endpoint>?api-version=2017-09-01&resource=…&clientid=…` with the header
`secret`; and its `app_service` credential, for the newer pair of variables: `X-IDENTITY-HEADER` and `client_id`.
"""

from __future__ import annotations

import secrets
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.identity.principals import Principal

SERVICE = "msi"
_HEADERS = ("secret", "X-IDENTITY-HEADER")
_CLIENTS = ("clientid", "client_id")


class Msi:
    """Who shows a machine's secret gets tokens of the identities that the machine has. Thread-safe."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._machines: dict[str, Principal] = {}  # by secret
        self._lasting: dict[str, str] = {}  # object id -> secret

    def open(self, principal: Principal) -> dict[str, str]:
        """The variables of a machine that has a user-assigned identity. `close` it when the machine is gone."""
        secret = secrets.token_urlsafe(24)
        with self._lock:
            self._machines[secret] = principal
        return self._told_in(secret, principal)

    def close(self, variables: Mapping[str, str]) -> None:
        """Forget a machine. Safe to repeat."""
        with self._lock:
            self._machines.pop(variables.get("MSI_SECRET", ""), None)

    def variables(self, object_id: str) -> dict[str, str]:
        """The variables of a process that runs as an identity for as long as the emulator does; none of nobody."""
        found = self._emulator.principals.get(object_id)
        if found is None:
            return {}
        with self._lock:
            secret = self._lasting.setdefault(object_id, secrets.token_urlsafe(24))
            self._machines[secret] = found
        return self._told_in(secret, found)

    def stop(self) -> None:
        """Forget all machines."""
        with self._lock:
            self._machines.clear()

    def leftovers(self) -> list[str]:
        """Nothing of it is made through the kit."""
        return []

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def _told_in(self, secret: str, principal: Principal) -> dict[str, str]:
        return {
            "MSI_ENDPOINT": f"{self._emulator.url}/msi/token",
            "MSI_SECRET": secret,
            "DEFAULT_IDENTITY_CLIENT_ID": principal.client_id,
        }

    def _answer(self, request: Request) -> Response:
        shown = next((request.headers[name] for name in _HEADERS if name in request.headers), "")
        with self._lock:
            principal = self._machines.get(shown)
        if principal is None or request.method != "GET":
            raise refusals.refusal("unauthorized_client", "The secret is not one of this machine's.", 401)
        call = Call(SERVICE, "token", principal=principal.object_id, body=dict(request.args), control=False)
        return httpcalls.replied(self._emulator.desk.admit(call, lambda: self._told(request, principal)))

    def _told(self, request: Request, principal: Principal) -> dict[str, Any]:
        resource = request.args.get("resource", "")
        if not resource:
            raise refusals.refusal("invalid_request", "The query parameter 'resource' is missing.")
        client = next((request.args[name] for name in _CLIENTS if request.args.get(name)), "")
        if client != principal.client_id and (client or principal.resource_id):  # a system-assigned one needs no name
            told = f"No managed identity found for the client id '{client}'. Name one that is assigned to this machine."
            raise refusals.refusal("identity_not_found", told)
        token = self._emulator.principals.token(principal.object_id, resource.rstrip("/"))
        expires = self._emulator.principals.issued(token).expires
        return {
            "access_token": token,
            "expires_on": str(int(expires.timestamp())) if expires else "",
            "resource": resource,
            "token_type": "Bearer",
            "client_id": principal.client_id,
        }


OPERATIONS = (
    Fidelity(
        SERVICE,
        "token",
        validated="the machine's secret, the resource, the client id",
        differences=("tokens on behalf of a user are not emulated",),
    ),
)
