"""One HTTP request to blob storage: who asks, what the path names, and what the headers say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from mlinfra.emulator.azure.storage import checksums, conditions, refusals
from mlinfra.emulator.azure.storage.names import Address, host_account
from mlinfra.emulator.azure.storage.records import CONTENT_TYPE, METADATA, SETTINGS
from mlinfra.emulator.objects.streams import arriving, of_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIEnvironment

    from werkzeug.wrappers import Request

    from mlinfra.emulator.azure.storage.access import Access, Need
    from mlinfra.emulator.azure.storage.conditions import Conditions
    from mlinfra.emulator.objects.drafts import Draft

LARGEST_DOCUMENT = 8 << 20  # bytes
_META_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_METADATA = 8 << 10  # bytes, names and values together


@dataclass(frozen=True)
class Visit:
    """`at` is what the path names."""

    http: Request
    access: Access
    at: Address

    @property
    def base(self) -> str:
        """The address of the account as the client knows it, with a slash at the end."""
        root = self.http.host_url
        return root if host_account(self.http.host) else f"{root}{self.at.account}/"

    @property
    def conditions(self) -> Conditions:
        """The conditional headers."""
        return conditions.of_headers(self.http.headers)

    def allow(self, need: Need, at: Address | None = None) -> None:
        """Ask for a permission on what the path names, or on something else."""
        self.access.allow(need, self.at if at is None else at)

    def argument(self, name: str, default: str = "") -> str:
        """An argument of the query."""
        return str(self.http.args.get(name, default))

    def header(self, name: str, default: str = "") -> str:
        """A header."""
        return str(self.http.headers.get(name, default))

    def settings(self, default_type: str = "") -> dict[str, str]:
        """What the writer says of a blob, by the headers of later answers."""
        found = {CONTENT_TYPE: default_type} if default_type else {}
        for name, (header, _) in SETTINGS.items():
            if self.header(name):
                found[header] = self.header(name)
        return found

    def metadata(self) -> dict[str, str]:
        """The metadata in the headers.

        Raises:
            Refusal: a name that is no identifier, or too much of it.
        """
        headers = [(name, value) for name, value in self.http.headers.items() if name.lower().startswith(METADATA)]
        found = {name[len(METADATA) :].lower(): value for name, value in headers}
        if not all(_META_NAME.fullmatch(name) for name in found):
            message = "The metadata specified is invalid. It has characters that are not permitted."
            raise refusals.refusal(400, "InvalidMetadata", message)
        if sum(len(name) + len(value) for name, value in found.items()) > _LONGEST_METADATA:
            message = "The size of the specified metadata exceeds the maximum size permitted."
            raise refusals.refusal(400, "MetadataTooLarge", message)
        return found

    def receive(self, draft: Draft, limit: int) -> dict[str, str]:
        """Take the body in, held against the hashes that the client promised. Returns the hashes to answer with.

        Raises:
            Refusal: it is too large, or other than promised.
        """
        if (self.http.content_length or 0) > limit:
            raise refusals.too_large(limit)
        draft.add(arriving(self.http.environ["wsgi.input"]))
        told = self.header("Content-MD5")
        if told and told != draft.md5:
            raise refusals.damaged("Md5", told, draft.md5)
        promised = self.header("x-ms-content-crc64")
        if not promised:
            return {"Content-MD5": draft.md5}
        found = checksums.crc64(of_file(draft.file))
        if promised != found:
            raise refusals.damaged("Crc64", promised, found)
        return {"x-ms-content-crc64": found}

    def document(self) -> ET.Element:
        """The XML document in the body.

        Raises:
            Refusal: it is none.
        """
        data = b"".join(self._body())
        try:
            return ET.fromstring(data)  # noqa: S314  a document of our own client's; expat resolves no entities here
        except ET.ParseError as exc:
            raise refusals.invalid_document(str(exc)) from None

    def _body(self) -> Iterator[bytes]:
        size = 0
        for piece in arriving(self.http.environ["wsgi.input"]):
            size += len(piece)
            if size > LARGEST_DOCUMENT:
                raise refusals.too_large(LARGEST_DOCUMENT)
            yield piece


def address(environ: WSGIEnvironment) -> Address:
    """What a request names: the account is in the host, or the first part of the path."""
    raw = str(environ.get("RAW_URI") or environ["PATH_INFO"]).partition("?")[0]
    path = unquote(raw, errors="surrogateescape").lstrip("/")
    account = host_account(environ.get("HTTP_HOST", ""))
    if not account:
        account, _, path = path.partition("/")
    container, _, name = path.partition("/")
    return Address(account, container, name)
