"""One machine's metadata server: a port of its own, so that the address alone says which job or server asks.

The same port plays Cloud Storage for the machine, where a request without credentials counts as its service
account's: the vendor's Python client shows none to an emulator's address, and would show the account's to the real one.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from werkzeug.wrappers import Request, Response

from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.gcp.metadata import documents
from mlinfra.emulator.gcp.names import UNIVERSE, new_id
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "metadata"
_ROOT = "/computeMetadata/v1"
_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_TEXT = "application/text"
_JSON = "application/json"
_SCOPES = "https://www.googleapis.com/auth/cloud-platform\n"
_ZONE = "a"  # every region has one of that letter


class Instance:
    """A machine that runs as `principal`. `attributes` are what the machine's maker told it.

    `start` and `stop` open and close its own port; `respond` also serves it behind another's.
    """

    def __init__(self, emulator: GcpEmulator, principal: str, attributes: Mapping[str, str] | None = None) -> None:
        self.principal = principal
        self._emulator = emulator
        self._attributes = dict(attributes or {})
        self._server = HttpServer(self._served)

    def start(self) -> Self:
        """Open the port."""
        self._server.start()
        return self

    def stop(self) -> None:
        """Close it. Safe to repeat."""
        self._server.stop()

    def variables(self) -> dict[str, str]:
        """What leads a process to it, and to the emulator's other services. Only while its port is open."""
        return {
            "GCE_METADATA_HOST": self._server.url.removeprefix("http://"),
            "GCE_METADATA_IP": self._server.url.removeprefix("http://"),
            "NO_GCE_CHECK": "false",
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": UNIVERSE,
            "STORAGE_EMULATOR_HOST": self._server.url,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self._emulator.ca_file),
        }

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request to the metadata server."""
        request = Request(environ)
        response = self._answer(request)
        response.headers.extend(_FLAVOR)
        return response(environ, start_response)

    def _served(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/computeMetadata") or environ.get("HTTP_METADATA_FLAVOR"):
            return self.respond(environ, start_response)
        answer: Iterable[bytes] = self._emulator.storage.respond(environ, start_response, self.principal)
        return answer

    def _answer(self, request: Request) -> Response:
        if request.method != "GET":
            return _page(405, "Method Not Allowed")
        if request.path in {"", "/"}:
            return Response("computeMetadata/\n", content_type=_TEXT)
        if request.headers.get("Metadata-Flavor") != "Google" or "X-Forwarded-For" in request.headers:
            return _page(403, "Missing Metadata-Flavor:Google header.")
        call = Call(SERVICE, request.path.removeprefix(_ROOT), principal=self.principal, control=False)
        try:
            return self._emulator.desk.admit(call, lambda: self._told(request), lie=_lie)
        except Refusal as exc:
            return _page(exc.status, exc.message)

    def _told(self, request: Request) -> Response:
        path = request.path.removeprefix(_ROOT)
        found = documents.find(self._tree, path) if request.path.startswith(_ROOT) else None
        if found is None:
            raise refusals.not_found("The requested URL was not found on this server.")
        if not isinstance(found, dict):
            text = found(request.args) if callable(found) else found
            return Response(text, content_type=_JSON if path.endswith("/token") else _TEXT)
        if request.args.get("recursive", "").lower() == "true":
            return Response(documents.recursive(found, request.args), content_type=_JSON)
        if not path.endswith("/"):
            return Response(b"", status=301, headers={"Location": f"{request.path}/"})
        return Response(documents.listed(found), content_type=_TEXT)

    @cached_property
    def _tree(self) -> documents.Tree:
        emulator = self._emulator
        account = {
            "aliases": "default\n",
            "email": self.principal,
            "identity": self._identity,
            "scopes": _SCOPES,
            "token": self._token,
        }
        zone = f"projects/{emulator.project_number}/zones/{emulator.region}-{_ZONE}"
        return {
            "instance": {
                "attributes": self._attributes,
                "id": new_id(),
                "name": self._attributes.get("name", "instance"),
                "service-accounts": {"default": account, self.principal: account},
                "zone": zone,
            },
            "project": {
                "attributes": {},
                "numeric-project-id": emulator.project_number,
                "project-id": emulator.project,
            },
            "universe": {"universe-domain": UNIVERSE},
        }

    def _token(self, _query: Mapping[str, str]) -> str:
        principals = self._emulator.principals
        if not principals.exists(self.principal):
            raise refusals.not_found("The service account was not found.")
        token = principals.token(self.principal)
        left = principals.expiry(token) - self._emulator.clock.now()
        document = {"access_token": token, "expires_in": int(left.total_seconds()), "token_type": "Bearer"}
        return json.dumps(document)

    def _identity(self, query: Mapping[str, str]) -> str:
        if not query.get("audience"):
            raise refusals.invalid_argument("non-empty audience parameter required")
        raise refusals.not_emulated("An identity token of the metadata server")


def _page(status: int, text: str) -> Response:
    return Response(text, status=status, content_type="text/html; charset=UTF-8")


def _lie(_answer: Response | None, reply: Any) -> Response:
    return Response(json.dumps(reply), content_type=_JSON)
