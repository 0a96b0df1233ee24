"""Secret Manager's REST interface, version 1: a version of a secret is read; secrets are made, filled and deleted.

By the methods of secretmanager.v1 in Google's discovery documents.
"""

from __future__ import annotations

import base64
import binascii
import re
from threading import Lock
from typing import TYPE_CHECKING, Any

import google_crc32c

from mlinfra.emulator.calls import Call
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.emulator import GcpEmulator

SERVICE = "secretmanager"
_PATH = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/secrets"
    r"(?:/(?P<secret>[^/:]+)(?:/versions/(?P<version>[^/:]+))?)?(?::(?P<verb>\w+))?"
)
_ID = re.compile(r"[a-zA-Z0-9_-]{1,255}")
_LARGEST = 64 * 1024  # bytes


class Secrets:
    """The secrets of one project, each a list of versions, the first one is 1. Thread-safe."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._secrets: dict[str, list[bytes]] = {}
        self._told: dict[str, dict[str, Any]] = {}  # what its maker said of a secret

    def put(self, name: str, value: str | bytes) -> str:
        """Add a version to a secret, which is made where it is not there. Returns the version's full name."""
        if not _ID.fullmatch(name):
            raise refusals.invalid_argument("secret_id must match [a-zA-Z0-9_-]{1,255}", "secret_id")
        data = value.encode() if isinstance(value, str) else value
        with self._lock:
            versions = self._secrets.setdefault(name, [])
            versions.append(data)
            return self._name(name, len(versions))

    def value(self, name: str, version: str = "latest") -> tuple[str, bytes]:
        """A version's full name and its bytes.

        Raises:
            Refusal: NOT_FOUND.
        """
        with self._lock:
            versions = list(self._secrets.get(name, ()))
        known = f"Secret [projects/{self._emulator.project_number}/secrets/{name}]"
        if not versions:
            raise refusals.not_found(f"{known} not found or has no versions.")
        number = len(versions) if version == "latest" else int(version) if version.isdecimal() else 0
        if not 1 <= number <= len(versions):
            raise refusals.not_found(f"Secret Version [{self._name(name, version)}] not found.")
        return self._name(name, number), versions[number - 1]

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
        key = (
            request.method,
            *(bool(found and found[part]) for part in ("secret", "version")),
            found and found["verb"],
        )
        if found is None or key not in _METHODS:
            raise refusals.not_emulated(f"{request.method} {request.path} of Secret Manager")
        name, permission = _METHODS[key]
        principal = httpcalls.caller(self._emulator, request)
        if found["project"] not in {self._emulator.project, self._emulator.project_number}:
            raise refusals.wrong_project(found["project"])
        resource = f"projects/{self._emulator.project}"
        if found["secret"]:
            resource += f"/secrets/{found['secret']}"
        if found["version"]:
            resource += f"/versions/{found['version']}"
        call = Call(SERVICE, name, permission, principal, (resource,), request.args.to_dict())
        return httpcalls.replied(self._emulator.desk.admit(call, lambda: self._act(name, request, found)))

    def _act(self, method: str, request: Request, found: re.Match[str]) -> dict[str, Any]:
        if method == "AccessSecretVersion":
            name, data = self.value(found["secret"], found["version"])
            told = {"data": base64.b64encode(data).decode(), "dataCrc32c": str(google_crc32c.value(data))}
            return {"name": name, "payload": told}
        if method == "CreateSecret":
            return self._create(request.args.get("secretId", ""), httpcalls.document(request))
        if method == "AddSecretVersion":
            return self._add(found["secret"], httpcalls.document(request))
        if method == "DeleteSecret":
            return self._delete(found["secret"])
        body = httpcalls.document(request) if method == "UpdateSecret" else {}
        return self._update(found["secret"], body, request.args.get("updateMask", ""))

    def _create(self, secret: str, body: dict[str, Any]) -> dict[str, Any]:
        if not _ID.fullmatch(secret):
            raise refusals.invalid_argument("secret_id must match [a-zA-Z0-9_-]{1,255}", "secret_id")
        name = f"projects/{self._emulator.project_number}/secrets/{secret}"
        with self._lock:
            if secret in self._secrets:
                raise refusals.already_exists(f"Secret [{name}] already exists.")
            self._secrets[secret] = []
            self._told[secret] = {**body, "name": name}
            return self._told[secret]

    def _update(self, secret: str, body: dict[str, Any], mask: str) -> dict[str, Any]:
        """A secret as it is once the members that the mask names are the body's."""
        members = [each.strip() for each in mask.split(",") if each.strip()]
        with self._lock:
            old = self._known(secret)
            kept = {member: value for member, value in old.items() if member not in members}
            self._told[secret] = {**kept, **{member: body[member] for member in members if member in body}}
            return self._told[secret]

    def _delete(self, secret: str) -> dict[str, Any]:
        with self._lock:
            self._known(secret)
            del self._secrets[secret]
            self._told.pop(secret, None)
        return {}

    def _known(self, secret: str) -> dict[str, Any]:
        """What is told of a secret; the caller holds the lock."""
        name = f"projects/{self._emulator.project_number}/secrets/{secret}"
        if secret not in self._secrets:
            raise refusals.not_found(f"Secret [{name}] not found.")
        return self._told.get(secret) or {"name": name, "replication": {"automatic": {}}}

    def _add(self, secret: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            data = base64.b64decode(str(body["payload"]["data"]), validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise refusals.invalid_argument("Invalid payload.", "payload") from None
        if len(data) > _LARGEST:
            raise refusals.invalid_argument("The size of the data must be at most 64 KiB.", "payload")
        with self._lock:
            self._known(secret)
            self._secrets[secret].append(data)
            return {"name": self._name(secret, len(self._secrets[secret])), "state": "ENABLED"}

    def _name(self, secret: str, version: int | str) -> str:
        return f"projects/{self._emulator.project_number}/secrets/{secret}/versions/{version}"


_METHODS: dict[tuple[object, ...], tuple[str, str]] = {
    ("GET", True, True, "access"): ("AccessSecretVersion", "secretmanager.versions.access"),
    ("POST", False, False, None): ("CreateSecret", "secretmanager.secrets.create"),
    ("GET", True, False, None): ("GetSecret", "secretmanager.secrets.get"),
    ("PATCH", True, False, None): ("UpdateSecret", "secretmanager.secrets.update"),
    ("DELETE", True, False, None): ("DeleteSecret", "secretmanager.secrets.delete"),
    ("POST", True, False, "addVersion"): ("AddSecretVersion", "secretmanager.versions.add"),
}
OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        name,
        validated="names and payload",
        differences=("rotation, replication, aliases of versions and their states are not emulated",),
    )
    for name, _ in _METHODS.values()
)
