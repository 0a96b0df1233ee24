"""A container registry, as far as putting an image there needs it.

The distribution specification 1.1 (https://github.com/opencontainers/distribution-spec), and what registries make of
it: blobs are sent in one streamed PUT, since Artifact Registry takes no chunks and ECR answers them otherwise than the
specification says; an upload's address may be relative and carry a query; a blob is often served by an object store
elsewhere, which must not see the registry's credentials.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from dataclasses import dataclass
from http.client import HTTPException
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from mlinfra.errors import (
    Conflict,
    Denied,
    IntegrityError,
    MlinfraError,
    NotFound,
    TemporaryError,
    Unavailable,
    UsageError,
)
from mlinfra.images.assemble import INDEXES, MANIFESTS
from mlinfra.images.content import digest_of
from mlinfra.images.login import Login
from mlinfra.images.transport import Body, Reply, Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlinfra.images.login import Source
    from mlinfra.images.reference import Reference

_ATTEMPTS = 5
_PAUSE = 0.25  # seconds before the first repetition, doubled each time
_LONGEST_PAUSE = 30.0
_LOGINS = 2  # a token that was kept may be too old, once
_CHUNK = 1 << 20
_BUSY, _FAILED = 429, 500
_REDIRECTS = (301, 302, 303, 307, 308)
_UNAUTHORISED, _FORBIDDEN, _MISSING = 401, 403, 404
_OK, _CREATED, _ACCEPTED = 200, 201, 202
_ACCEPT = ", ".join((*MANIFESTS, *INDEXES))
_DIGEST = "docker-content-digest"
_IMMUTABLE = ("immutable", "TagAlreadyExists")


@dataclass
class Traffic:
    """What went over the line."""

    requests: int = 0
    sent: int = 0  # bytes of blobs
    uploaded: int = 0
    mounted: int = 0
    present: int = 0


@dataclass(frozen=True)
class Blob:
    """Bytes that belong into a repository, by digest. `mount` names a repository of the same registry that has them."""

    digest: str
    size: int
    open: Callable[[], IO[bytes]]
    mount: str = ""


class Registry:
    """One registry, asked for leave to read alone unless it `writes`.

    Safe from several threads. Every method blocks and may be repeated.

    All raise Denied where the login is refused, NotFound where the repository is not there, Unavailable where the
    registry gives no answer that makes sense after some attempts.
    """

    def __init__(
        self,
        reference: Reference,
        source: Source,
        transport: Transport,
        *,
        writes: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._actions = "pull,push" if writes else "pull"
        self.host = reference.host
        self.traffic = Traffic()
        self._origin = reference.origin
        self._transport = transport
        self._login = Login(reference.host, source, transport)
        self._sleep = sleep

    def manifest(self, repository: str, name: str) -> tuple[dict[str, Any], str]:
        """A manifest or an index by tag or digest, and its digest.

        Raises:
            IntegrityError: it is not what its digest promises.
        """
        reply = self._call("GET", f"/v2/{repository}/manifests/{name}", repository, headers={"Accept": _ACCEPT})
        digest = digest_of(reply.content)
        if name.startswith("sha256:") and digest != name:
            raise IntegrityError("the registry's manifest is not the one asked for", given=digest, allowed=name)
        document = _json(reply)
        document.setdefault("mediaType", str(reply.headers.get("content-type", "")).partition(";")[0])
        return document, digest

    def blob(self, repository: str, digest: str) -> bytes:
        """A small blob: an image's config.

        Raises:
            IntegrityError: it is not what its digest promises.
        """
        content = self._blob(repository, digest).content
        if digest_of(content) != digest:
            raise IntegrityError("the registry's blob is not what its digest promises", given=digest)
        return content

    def copy_blob(self, repository: str, digest: str, into: IO[bytes]) -> None:
        """A blob of any size into an open file.

        Raises:
            IntegrityError: it is not what its digest promises.
        """
        found = hashlib.sha256()
        stream = self._blob(repository, digest, streamed=True).stream
        try:
            while stream and (chunk := stream.read(_CHUNK)):
                found.update(chunk)
                into.write(chunk)
        except (OSError, HTTPException) as exc:
            raise Unavailable("a blob broke off on its way", given=digest) from exc
        finally:
            if stream:
                stream.close()
        if f"sha256:{found.hexdigest()}" != digest:
            raise IntegrityError("the registry's blob is not what its digest promises", given=digest)

    def put_blob(self, repository: str, blob: Blob) -> None:
        """See that a repository has a blob: there already, mounted from another repository, or sent."""
        path = f"/v2/{repository}/blobs/{blob.digest}"
        if self._call("HEAD", path, repository, accepted=(_OK, _MISSING)).status == _OK:
            self.traffic.present += 1
            return
        wish = f"?{urlencode({'mount': blob.digest, 'from': blob.mount})}" if blob.mount else ""
        address, others = f"/v2/{repository}/blobs/uploads/{wish}", (blob.mount,) if blob.mount else ()
        reply = self._call("POST", address, repository, accepted=(_CREATED, _ACCEPTED), also=others)
        if reply.status == _CREATED:
            self.traffic.mounted += 1
            return
        self._upload(repository, blob, reply)

    def put_manifest(self, repository: str, name: str, content: bytes, kind: str) -> None:
        """Put a manifest under a digest or a tag; nothing is sent where it stands there already.

        Raises:
            Conflict: the tag names another image, and the registry lets no tag be moved.
            IntegrityError: the registry keeps other bytes than were sent.
        """
        path, digest = f"/v2/{repository}/manifests/{name}", digest_of(content)
        head = self._call("HEAD", path, repository, accepted=(_OK, _MISSING), headers={"Accept": _ACCEPT})
        present = head.headers.get(_DIGEST)
        if head.status == _OK and present == digest:
            return
        body = Body(lambda: io.BytesIO(content), len(content), kind)
        try:
            reply = self._call("PUT", path, repository, accepted=(_CREATED,), body=body)
        except _Refused as refused:
            if any(word in refused.words for word in _IMMUTABLE):
                todo = "take another tag with --to"
                raise Conflict(
                    f"the tag {name} names another image and cannot be moved",
                    given=digest,
                    allowed=str(present),
                    todo=todo,
                ) from refused
            raise
        if reply.headers.get(_DIGEST, digest) != digest:
            raise IntegrityError("the registry rewrote the manifest", given=reply.headers[_DIGEST], allowed=digest)

    def _upload(self, repository: str, blob: Blob, begun: Reply) -> None:
        body, place = Body(blob.open, blob.size), _location(begun)
        try:
            self._call("PUT", _with_digest(place, blob.digest), repository, accepted=(_CREATED,), body=body)
        except _Refused:  # some take the bytes in a PATCH alone
            again = self._call("POST", f"/v2/{repository}/blobs/uploads/", repository, accepted=(_ACCEPTED,))
            sent = self._call("PATCH", _location(again), repository, accepted=(_ACCEPTED, _CREATED), body=body)
            nothing = Body(io.BytesIO, 0)
            address = _with_digest(_location(sent), blob.digest)
            self._call("PUT", address, repository, accepted=(_CREATED,), body=nothing)
        self.traffic.uploaded += 1
        self.traffic.sent += blob.size

    def _blob(self, repository: str, digest: str, *, streamed: bool = False) -> Reply:
        address = f"/v2/{repository}/blobs/{digest}"
        reply = self._call("GET", address, repository, accepted=(_OK, *_REDIRECTS), streamed=streamed)
        for _ in range(_ATTEMPTS):
            if reply.status not in _REDIRECTS:
                break
            reply = self._transport.send(
                "GET", _location(reply), {}, streamed=streamed
            )  # no credentials: not meant for it
        if reply.status != _OK:
            raise Unavailable("a blob cannot be fetched", given=f"{digest}: {reply.status}")
        return reply

    def _call(
        self,
        method: str,
        address: str,
        repository: str,
        *,
        accepted: Sequence[int] = (_OK,),
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        also: Sequence[str] = (),
        streamed: bool = False,
    ) -> Reply:
        """One request, logged in, repeated where that may help. `also` are repositories that it reads as well."""
        scopes = (f"repository:{repository}:{self._actions}", *(f"repository:{name}:pull" for name in also))
        url = urljoin(self._origin, address)
        last: MlinfraError = Unavailable("the registry gives no answer", given=self.host)
        logged_in = 0
        for attempt in range(_ATTEMPTS):
            try:
                given = {**(headers or {}), **self._authorization(url, scopes)}
                self.traffic.requests += 1
                reply = self._transport.send(method, url, given, body, streamed=streamed)
            except TemporaryError as exc:
                last = exc
                self._sleep(_PAUSE * 2**attempt)
                continue
            if reply.status in accepted:
                return reply
            last = _refusal(method, reply)
            if reply.status == _UNAUTHORISED and logged_in < _LOGINS:
                logged_in += 1
                self._login.answer(reply.headers.get("www-authenticate", ""), scopes)
                continue
            if not isinstance(last, TemporaryError):
                break
            self._sleep(_pause(reply, attempt))
        raise last

    def _authorization(self, url: str, scopes: tuple[str, ...]) -> dict[str, str]:
        """The header for an address of the registry's own; an upload elsewhere carries its leave in its address."""
        known = self._login.header(scopes)
        own = urlsplit(url).netloc == urlsplit(self._origin).netloc
        return {"Authorization": known} if known and own else {}


class _Refused(UsageError):
    """A refusal whose meaning the caller may know better."""

    def __init__(self, what: str, *, given: str, words: str) -> None:
        super().__init__(what, given=given)
        self.words = words


def _json(reply: Reply) -> dict[str, Any]:
    try:
        document = json.loads(reply.content)
    except ValueError as exc:
        raise Unavailable("the registry's answer is not JSON", given=reply.url) from exc
    if not isinstance(document, dict):
        raise Unavailable("the registry's answer is no manifest", given=reply.url)
    return document


def _refusal(method: str, reply: Reply) -> MlinfraError:
    words = reply.content.decode("utf-8", "replace")
    place = f"{method} {reply.url.partition('?')[0]}"
    given = f"{place}: {reply.status} {_said(words)}".strip()
    if reply.status in (_UNAUTHORISED, _FORBIDDEN):
        todo = "`docker login` with an identity that may pull and push there"
        return Denied("the registry does not permit it", given=given, todo=todo)
    if reply.status == _MISSING:
        todo = "create the repository, or correct the reference"
        return NotFound("the registry has no such image or repository", given=given, todo=todo)
    if reply.status == _BUSY or reply.status >= _FAILED:
        return Unavailable("the registry is busy or out of order", given=given)
    return _Refused("the registry refuses the request", given=given, words=words)


def _said(words: str) -> str:
    """The registry's own words, where they come in the specification's form."""
    try:
        first = json.loads(words)["errors"][0]
        return f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return words[:200]


def _pause(reply: Reply, attempt: int) -> float:
    wished = str(reply.headers.get("retry-after", ""))
    return min(float(wished), _LONGEST_PAUSE) if wished.isdigit() else _PAUSE * 2**attempt


def _location(reply: Reply) -> str:
    """Where an answer points to, which may be relative."""
    return urljoin(reply.url, str(reply.headers.get("location", "")))


def _with_digest(address: str, digest: str) -> str:
    """An upload's address with the digest that ends it, beside whatever query it carries."""
    parts = urlsplit(address)
    query = "&".join(filter(None, [parts.query, urlencode({"digest": digest})]))
    return urlunsplit(parts._replace(query=query))
