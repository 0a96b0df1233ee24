"""Entra ID's endpoints as its clients ask them: who issues tokens, and tokens for an application's secret."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.wire import httpcalls, refusals
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.emulator import AzureEmulator

SERVICE = "login"
_LIFETIME = timedelta(hours=1)
_DEFAULT = "/.default"


class Login:
    """Answers `/<tenant>/oauth2/v2.0/token`, `/.well-known/openid-configuration` and instance discovery."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return httpcalls.served(environ, start_response, self._answer)

    def stop(self) -> None:
        """Nothing runs here."""

    def _answer(self, request: Request) -> Response:
        last = request.path.rpartition("/")[2]
        handle = {
            "token": self._token,
            "openid-configuration": self._configuration,
            "instance": self._instance,
        }.get(last)
        if handle is None:
            raise refusals.not_emulated(f"{request.method} {request.path}")
        call = Call(SERVICE, last, control=False)
        try:
            return httpcalls.replied(self._emulator.desk.admit(call, lambda: handle(request)))
        except Refusal as exc:
            if exc.code.startswith("invalid_") or exc.code in {"unsupported_grant_type", "unauthorized_client"}:
                return httpcalls.replied({"error": exc.code, "error_description": exc.message}, exc.status)
            raise

    def _token(self, request: Request) -> dict[str, Any]:
        form = request.form
        tenant = request.path.split("/")[1]
        if tenant.lower() != self._emulator.place.tenant:
            raise _oauth("invalid_request", f"AADSTS90002: Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            raise _oauth("unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        found = self._emulator.principals.find(form.get("client_id", ""))
        if found is None:
            told = f"AADSTS700016: Application with identifier '{form.get('client_id')}' was not found."
            raise _oauth("unauthorized_client", told)
        if not found.secret or form.get("client_secret") != found.secret:
            raise _oauth("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        return self._issued(found.object_id, form.get("scope", ""))

    def _issued(self, object_id: str, scope: str) -> dict[str, Any]:
        wanted = scope.partition(" ")[0]
        if not wanted.endswith(_DEFAULT):
            told = "AADSTS1002012: The provided value for scope is not valid; it must end in /.default."
            raise _oauth("invalid_scope", told)
        audience = wanted.removesuffix(_DEFAULT).rstrip("/")
        token = self._emulator.principals.token(object_id, audience, _LIFETIME)
        seconds = int(_LIFETIME.total_seconds()) - 1
        return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}

    def _configuration(self, request: Request) -> dict[str, Any]:
        tenant = self._emulator.place.tenant
        base = f"{request.host_url.rstrip('/')}/{request.path.split('/')[1]}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "issuer": f"https://login.microsoftonline.com/{tenant}/v2.0",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["code", "id_token"],
            "scopes_supported": ["openid"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _instance(self, request: Request) -> dict[str, Any]:
        base = f"{request.host_url.rstrip('/')}/{self._emulator.place.tenant}"
        aliases = {"preferred_network": request.host, "preferred_cache": request.host, "aliases": [request.host]}
        return {
            "tenant_discovery_endpoint": f"{base}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [aliases],
        }


def _oauth(code: str, description: str, status: int = 400) -> Refusal:
    return Refusal(code, description, status=status)


OPERATIONS: tuple[Fidelity, ...] = (
    Fidelity(
        SERVICE,
        "token",
        validated="tenant, grant type, application, secret, scope",
        differences=("applications' secrets alone: no certificates, people, or federated credentials",),
    ),
    Fidelity(SERVICE, "openid-configuration", validated="the path"),
    Fidelity(SERVICE, "instance", validated="the path"),
)
