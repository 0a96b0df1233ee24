"""Blob storage as the emulator has it: its HTTP door, and its inside, where Azure ML reads and writes for others."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from werkzeug.wrappers import Request, Response

from mlinfra.emulator.azure.storage import access, batch, documents, refusals, routes
from mlinfra.emulator.azure.storage.access import Access, Need
from mlinfra.emulator.azure.storage.names import Address, located
from mlinfra.emulator.azure.storage.records import CONTENT_TYPE, DEFAULT_TYPE
from mlinfra.emulator.azure.storage.shelf import Shelf, Write
from mlinfra.emulator.azure.storage.signatures import Signer
from mlinfra.emulator.azure.storage.visit import Visit, address
from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.objects.streams import of_file, pieces
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.storage.records import Blob

SERVICE = "Microsoft.Storage"
AUDIENCE = "storage"  # of the tokens that it takes
_OLDEST = "2017-11-09"  # the first version that takes tokens
_VERSION = re.compile(r"20\d\d-\d\d-\d\d")
_VERSION_HEADER = "x-ms-version"
_LASTING = timedelta(hours=1)


class Storage:
    """The storage accounts of one subscription.

    From inside, `principal` is the object id in whose name is read and written; without one the emulator acts for
    itself, and nothing is asked.
    """

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.shelf = Shelf(emulator.folder / "storage", emulator.clock.now)
        self.signer = Signer(secrets.token_bytes(32))

    @property
    def tenant(self) -> str:
        """The tenant whose tokens count."""
        return self._emulator.place.tenant

    # The HTTP door

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        return self._response(environ)(environ, start_response)

    def access(self, query: Mapping[str, str], authorization: str, at: Address) -> Access:
        """Who calls: by the signature in a query, or by a bearer token.

        Raises:
            Refusal: nobody, or somebody who is not known.
        """
        desk, place = self._emulator.desk, self._emulator.place
        if "sig" in query:
            grant = self.signer.check(query, at, self._emulator.clock.now())
            return Access(desk, place, grant.principal, grant)
        challenge = (
            f"Bearer authorization_uri=https://login.microsoftonline.com/{place.tenant}/oauth2/authorize "
            "resource_id=https://storage.azure.com"
        )
        if not authorization:
            raise refusals.unsigned(challenge)
        if not authorization.startswith("Bearer "):
            raise refusals.no_shared_key()
        try:
            return Access(desk, place, self._emulator.principals.caller(authorization, AUDIENCE))
        except Refusal as exc:
            raise refusals.unauthenticated(challenge, exc.message) from None

    def _response(self, environ: WSGIEnvironment) -> Response:
        request = Request(environ)
        request_id, now = str(uuid4()), self._emulator.clock.now()
        try:
            at = address(environ)
            response = batch.answered(request, at, self._response) if routes.is_batch(request) else None
            response = response or self._answer(request, at)
        except Refusal as exc:
            response = documents.error(exc, request_id, now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        response.headers["Server"] = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"
        response.headers["x-ms-request-id"] = request_id
        for name in (_VERSION_HEADER, "x-ms-client-request-id"):
            if request.headers.get(name):
                response.headers[name] = request.headers[name]
        return response

    def _answer(self, request: Request, at: Address) -> Response:
        _check_version(request)
        route = routes.route(request, at)
        visit = Visit(request, self.access(request.args, request.headers.get("Authorization", ""), at), at)
        call = Call(
            SERVICE,
            route.operation,
            principal=visit.access.principal,
            body={**request.args, "account": at.account, "container": at.container, "blob": at.name},
            control=False,
        )
        return self._emulator.desk.admit(call, lambda: route.handle(self, visit), lie=_lie)

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Blobs are the user's own."""
        return []

    # From inside

    def read(self, uri: str, principal: str = "") -> bytes:
        """A blob's bytes.

        Raises:
            Refusal: denied; no such container or blob.
        """
        return b"".join(self._stream(uri, principal))

    def download(self, uri: str, path: Path, principal: str = "") -> None:
        """Write a blob to a file, piece by piece; the folder must be there. Raises as `read`."""
        with path.open("wb") as file:
            file.writelines(self._stream(uri, principal))

    def write(self, uri: str, data: bytes | Path, principal: str = "", content_type: str = DEFAULT_TYPE) -> Blob:
        """Put a blob, in the place of an earlier one.

        Raises:
            Refusal: denied; no such container.
        """
        at = located(uri)
        self._allow(principal, access.WRITE, at)
        draft = self.shelf.draft()
        try:
            draft.add([data] if isinstance(data, bytes) else of_file(data))
            return self.shelf.put(at, draft, Write({CONTENT_TYPE: content_type}, md5=draft.md5))
        except BaseException:
            draft.discard()
            raise

    def delete(self, uri: str, principal: str = "") -> None:
        """Remove a blob.

        Raises:
            Refusal: denied; no such container or blob.
        """
        at = located(uri)
        self._allow(principal, access.DELETE, at)
        self.shelf.delete(at)

    def list(self, uri: str, principal: str = "") -> list[Blob]:
        """The blobs whose names begin with the address's path, in order.

        Raises:
            Refusal: denied; no such container.
        """
        at = located(uri)
        self._allow(principal, access.LIST, at)
        return self.shelf.starting(at, at.name)

    def exists(self, uri: str, principal: str = "") -> bool:
        """Whether there is a blob at the address.

        Raises:
            Refusal: denied, as for reading it.
        """
        at = located(uri)
        self._allow(principal, access.READ, at)
        return self.has_container(at.account, at.container) and self.shelf.current(at) is not None

    def has_container(self, account: str, container: str) -> bool:
        """Whether there is such a container."""
        known = self.shelf.containers(account, container) if account in self.shelf.accounts() else []
        return any(each.name == container for each in known)

    def create_account(self, account: str) -> None:
        """Open a storage account where there is none."""
        self.shelf.add_account(account)

    def create_container(self, account: str, container: str) -> None:
        """Make a container, and its account, where there is none."""
        self.create_account(account)
        if not self.has_container(account, container):
            self.shelf.create_container(account, container, {})

    def signed(self, uri: str, permissions: str = "r", lasting: timedelta = _LASTING) -> str:
        """The emulator's own address of a container or blob, with a signature that permits so much for a while."""
        at = located(uri)
        return f"{self.address(uri)}?{self.signer.sign(at, permissions, self._emulator.clock.now(), lasting)}"

    def address(self, uri: str) -> str:
        """The emulator's own address of what the service's address names, at the TLS port."""
        at = located(uri)
        path = "/".join(quote(part, safe="/") for part in at if part)
        return f"{self._emulator.secure}/{path}"

    def _stream(self, uri: str, principal: str) -> Iterator[bytes]:
        at = located(uri)
        self._allow(principal, access.READ, at)
        _, file = self.shelf.read(at)
        with file:
            yield from pieces(file)

    def _allow(self, principal: str, need: Need, at: Address) -> None:
        if principal:
            Access(self._emulator.desk, self._emulator.place, principal).allow(need, at)


def _check_version(request: Request) -> None:
    """Refuse a version that the service does not have, or that takes no tokens."""
    version = request.headers.get(_VERSION_HEADER, "")
    if not version and "sig" not in request.args:
        raise refusals.missing_header(_VERSION_HEADER)
    if version and not (_VERSION.fullmatch(version) and version >= _OLDEST):
        raise refusals.invalid_header(_VERSION_HEADER, version)


def _lie(answer: Response | None, reply: Any) -> Response:
    """A false answer: other bytes, `{"body": text}`."""
    if answer is None:
        return Response(str(reply.get("body", "")))
    answer.close()
    false = Response(str(reply.get("body", "")), status=answer.status, headers=answer.headers)
    false.headers.pop("Content-Length", None)
    return false


_DIFFERENCES = {
    "BlobBatch": ("deletions only",),
    "CopyBlob": ("done at once, whatever the size; only from accounts of this emulator",),
    "DeleteContainer": ("its name is free at once",),
    "DeleteBlob": ("no soft deletion, no snapshots, no leases",),
    "GetBlob": ("no snapshots and versions; addresses and protocols in signatures are not looked at",),
    "ListBlobs": ("XML only; nothing deleted or uncommitted is listed",),
    "ListContainers": ("all on one page",),
    "PutBlob": ("block blobs only", "tags, tiers, encryption scopes and customer's keys are ignored"),
    "SetContainerMetadata": ("policies and leases are not emulated",),
}
OPERATIONS = tuple(
    Fidelity(
        SERVICE,
        operation,
        validated="names, conditions, hashes and ranges, as far as it takes them",
        differences=_DIFFERENCES.get(operation, ()),
    )
    for operation in routes.OPERATIONS
)
