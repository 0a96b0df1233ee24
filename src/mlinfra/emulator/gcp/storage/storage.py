"""Cloud Storage as the emulator has it: its HTTP door, and its inside, where Vertex AI reads and writes for others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from werkzeug.wrappers import Request, Response

from mlinfra.emulator.calls import Call, Refusal
from mlinfra.emulator.gcp.storage import batch, jsonapi, refusals, xmlapi
from mlinfra.emulator.gcp.storage.access import Access
from mlinfra.emulator.gcp.storage.sessions import Sessions
from mlinfra.emulator.gcp.storage.shelf import Shelf, Write
from mlinfra.emulator.gcp.storage.visit import Visit
from mlinfra.emulator.gcp.storage.xmlparts import Assemblies
from mlinfra.emulator.objects.streams import of_file, pieces
from mlinfra.emulator.operations import Fidelity
from mlinfra.spec.patch import merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.storage.records import Stored

_SCHEME = "gs://"
_SERVICE = "storage"
_JSON = ("storage", "download", "upload", "batch")  # what the paths of the JSON API begin with
_BATCH = ["batch", "storage", "v1"]
_JSON_TYPE = "application/json"


class Storage:
    """The buckets of one project.

    From inside, `principal` is in whose name is read and written; without one the emulator acts for itself, and nothing
    is asked.
    """

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self.shelf = Shelf(emulator.folder / "storage", emulator.clock.now)
        self.sessions = Sessions()
        self.assemblies = Assemblies(self.shelf)

    @property
    def project_number(self) -> str:
        """The number of the project, which buckets tell."""
        return self._emulator.project_number

    # The HTTP door

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse, silent: str = "") -> Iterable[bytes]:
        """Answer one request. `silent` is who calls where the request shows no credentials at all."""
        return self._response(environ, silent)(environ, start_response)

    def _response(self, environ: WSGIEnvironment, silent: str) -> Response:
        request = Request(environ)
        parts = _path(environ)
        is_json = parts[0] in _JSON
        try:
            if parts == _BATCH:
                return batch.answered(request, lambda inner: self._response(inner, silent))
            principal = self._caller(request, silent)
            return self._answer(request, parts, principal) if is_json else self._answer_xml(request, parts, principal)
        except Refusal as exc:
            return jsonapi.error_response(exc) if is_json else xmlapi.error_response(exc)

    def _answer(self, request: Request, parts: list[str], principal: str) -> Response:
        route, named = jsonapi.route(request.method, parts, request.args)
        visit = Visit(request, self._access(principal), named)
        return self._admit(visit, route.method, lambda: jsonapi.reply(visit, route.handle(self, visit)))

    def _answer_xml(self, request: Request, parts: list[str], principal: str) -> Response:
        bucket, name = parts[0], "/".join(parts[1:])
        copying = "x-goog-copy-source" in request.headers
        asked = xmlapi.operation(request.method, (bucket, name), request.args, copying=copying)
        visit = Visit(request, self._access(principal), {"bucket": bucket, "object": name})
        return self._admit(visit, asked.method, lambda: asked.handle(self, visit))

    def _admit(self, visit: Visit, method: str, act: Callable[[], Response]) -> Response:
        call = Call(
            _SERVICE,
            method,
            principal=visit.access.principal,
            body={**visit.http.args, **visit.named},
            control=False,
        )
        return self._emulator.desk.admit(call, act, lie=_lie)

    def _caller(self, request: Request, silent: str) -> str:
        authorization = request.headers.get("Authorization", "")
        if not authorization:
            return silent
        try:
            return self._emulator.principals.caller(authorization)
        except Refusal:
            raise refusals.unauthenticated() from None

    def _access(self, principal: str) -> Access:
        return Access(self._emulator.desk, principal, self._emulator.project)

    def stop(self) -> None:
        """Nothing of it runs."""

    def leftovers(self) -> list[str]:
        """Objects are the user's own."""
        return []

    # From inside

    def read(self, uri: str, principal: str = "") -> bytes:
        """An object's bytes.

        Raises:
            Refusal: denied; no such bucket or object.
        """
        return b"".join(self._stream(uri, principal))

    def download(self, uri: str, path: Path, principal: str = "") -> None:
        """Write an object to a file, piece by piece; the folder must be there. Raises as `read`."""
        with path.open("wb") as file:
            file.writelines(self._stream(uri, principal))

    def write(self, uri: str, data: bytes | Path, principal: str = "", content_type: str = "") -> Stored:
        """Put an object, in the place of an earlier one.

        Raises:
            Refusal: denied; no such bucket.
        """
        bucket, name = split(uri)
        self._allow(principal, "storage.objects.create", bucket, name)
        settings = {"contentType": content_type} if content_type else {}
        write = Write(settings, replacing=lambda: self._allow(principal, "storage.objects.delete", bucket, name))
        draft = self.shelf.draft()
        try:
            draft.add([data] if isinstance(data, bytes) else of_file(data))
            return self.shelf.put(bucket, name, draft, write)
        except BaseException:
            draft.discard()
            raise

    def list(self, uri: str, principal: str = "") -> list[Stored]:
        """The objects whose names begin with the address's path, in order.

        Raises:
            Refusal: denied; no such bucket.
        """
        bucket, prefix = split(uri)
        self._allow(principal, "storage.objects.list", bucket)
        return list(self.shelf.names(bucket, prefix, ""))

    def exists(self, uri: str, principal: str = "") -> bool:
        """Whether there is an object at the address.

        Raises:
            Refusal: denied, as for reading it.
        """
        bucket, name = split(uri)
        self._allow(principal, "storage.objects.get", bucket, name)
        return self.has_bucket(bucket) and self.shelf.current(bucket, name) is not None

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        return any(each.name == bucket for each in self.shelf.buckets(bucket))

    def create_bucket(self, bucket: str, **settings: Any) -> None:
        """Make a bucket where there is none; its settings in the words of the JSON API."""
        if not self.has_bucket(bucket):
            self.shelf.create_bucket(bucket, {"location": self._emulator.region, **settings})

    def _stream(self, uri: str, principal: str) -> Iterator[bytes]:
        bucket, name = split(uri)
        self._allow(principal, "storage.objects.get", bucket, name)
        _, file = self.shelf.read(bucket, name)
        with file:
            yield from pieces(file)

    def _allow(self, principal: str, permission: str, bucket: str, name: str | None = None) -> None:
        if principal:
            self._access(principal).allow(permission, bucket, name)


def split(uri: str) -> tuple[str, str]:
    """Bucket and name of a `gs://` address.

    Raises:
        Refusal: it is none.
    """
    bucket, _, name = uri.removeprefix(_SCHEME).partition("/")
    if not uri.startswith(_SCHEME) or not bucket:
        raise refusals.invalid(f"not a Cloud Storage address: {uri}")
    return bucket, name


def _path(environ: WSGIEnvironment) -> list[str]:
    """The parts of the path, each decoded by itself: an object's name may hold slashes."""
    raw = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    return [unquote(part, errors="surrogateescape") for part in raw.removeprefix("/").split("/")]


def _lie(answer: Response | None, reply: Any) -> Response:
    """A false answer: a merge patch on a JSON document; for the rest other bytes, `{"body": text}`."""
    if answer is None:
        return jsonapi.json_response(reply)
    if answer.mimetype == _JSON_TYPE and not answer.direct_passthrough:
        answer.set_data(json.dumps(merge(json.loads(answer.get_data() or b"{}"), reply)))
        return answer
    answer.close()
    false = Response(str(reply.get("body", "")), status=answer.status, headers=answer.headers)
    false.headers.pop("Content-Length", None)
    return false


_DIFFERENCES = {
    "storage.buckets.insert": ("versions, retention, soft deletion and lifecycle rules are recorded and do nothing",),
    "storage.buckets.patch": ("settings are recorded; those that change what is kept do nothing",),
    "storage.objects.get": ("what is stored compressed is not decompressed on the way",),
    "storage.objects.list": ("matchGlob, soft deleted objects and filters are not emulated",),
    "storage.objects.insert": (
        "customer-supplied keys are not emulated, other keys are recorded",
        "an object may be written more often than once a second",
    ),
    "storage.objects.rewrite": ("done at once, whatever the size",),
}
OPERATIONS = tuple(
    Fidelity(
        _SERVICE,
        method,
        validated="names, preconditions, hashes and ranges, as far as it takes them",
        differences=_DIFFERENCES.get(method, ()),
    )
    for method in sorted({*(route.method for route in jsonapi.ROUTES), *xmlapi.METHODS})
)
