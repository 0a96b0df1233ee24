"""Azure's blobs and Key Vault by their REST APIs: the job's own managed identity, no library.

Azure ML's containers have the identity's address in MSI_ENDPOINT and MSI_SECRET, App Service and newer hosts in
IDENTITY_ENDPOINT and IDENTITY_HEADER (the vendor's guides on managed identities).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from mlinfra.runner import web
from mlinfra.runner.digest import md5_of
from mlinfra.runner.problem import DAMAGED, DENIED, MISSING, WRONG, RunnerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STORAGE, VAULT = "https://storage.azure.com/", "https://vault.azure.net"  # whom tokens are for
_HOST = re.compile(r"[a-z0-9]{3,24}\.blob\.[a-z0-9.]+")
_VERSION = "2021-12-02"  # of the storage service
_VAULT_VERSION = "7.4"
_SPARE = 60  # s before its end at which a token is renewed
_BLOCK = 64 << 20  # bytes of one part of a large blob
_WHOLE = 256 << 20  # bytes that are sent in one request


class Place(NamedTuple):
    """A container's address and a name in it, which may be that of a blob or the beginning of several."""

    container: str
    name: str

    def below(self, path: str) -> Place:
        """The blob `path` under this place."""
        return Place(self.container, f"{self.name.rstrip('/')}/{path}" if self.name else path)

    @property
    def address(self) -> str:
        """The blob's own."""
        return f"{self.container}/{quote(self.name)}"


def is_blob(uri: str) -> bool:
    """Whether an address is one in a storage account that brings no signature of its own."""
    parts = urlsplit(uri)
    return parts.scheme == "https" and bool(_HOST.fullmatch(parts.netloc)) and not parts.query


def place_of(uri: str) -> Place:
    """What `https://ACCOUNT.blob.core.windows.net/CONTAINER/NAME` names. Raises RunnerError where it names none."""
    parts = urlsplit(uri)
    container, _, name = unquote(parts.path).lstrip("/").partition("/")
    if not is_blob(uri) or not container:
        raise RunnerError(f"{uri} names no container of a storage account", WRONG)
    account = os.environ.get("AZURE_STORAGE_ENDPOINT", "").rstrip("/") or f"https://{parts.netloc}"
    return Place(f"{account}/{quote(container)}", name)


def exists(place: Place) -> bool:
    """Is there a blob of exactly this name?"""
    if not place.name or place.name.endswith("/"):
        return False
    try:
        web.send("GET", f"{place.address}?comp=metadata", headers=_headers())
    except RunnerError as problem:
        if problem.exit_code == MISSING:
            return False
        raise
    return True


def names_below(place: Place) -> Iterator[str]:
    """The paths of all blobs under a place, from there."""
    prefix = f"{place.name.rstrip('/')}/" if place.name else ""
    marker = ""
    while True:
        query = urlencode({"restype": "container", "comp": "list", "prefix": prefix, "marker": marker})
        page = _xml(web.send("GET", f"{place.container}?{query}", headers=_headers()))
        names = (str(each.findtext("Name") or "")[len(prefix) :] for each in page.iter("Blob"))
        yield from (name for name in names if name and not name.endswith("/"))
        marker = str(page.findtext("NextMarker") or "")
        if not marker:
            return


def download(place: Place, target: Path) -> None:
    """Bring one blob into a file."""
    web.download(place.address, target, _headers())


def upload(file: Path, place: Place) -> None:
    """Send one file into a blob; the service compares what arrived."""
    if file.stat().st_size > _WHOLE:
        _upload_blocks(file, place)
        return
    headers = {**_headers(), "x-ms-blob-type": "BlockBlob", "Content-MD5": md5_of(file)}
    web.send("PUT", place.address, file, {**headers, "Content-Type": "application/octet-stream"})


def secret(name: str, place: str, variables: Mapping[str, str]) -> str:
    """The text of the newest version of the secret at `https://VAULT.vault.azure.net/secrets/NAME`.

    Raises RunnerError naming the secret and what the service said, never a value.
    """
    try:
        answer = web.send("GET", f"{place}?api-version={_VAULT_VERSION}", headers=identity(VAULT, variables))
    except RunnerError as problem:
        raise RunnerError(f"secret {name} cannot be read: {problem}", problem.exit_code) from problem
    try:
        return str(json.loads(answer)["value"])
    except (ValueError, KeyError, TypeError) as exc:
        raise RunnerError(f"secret {name}: Key Vault answered with {type(exc).__name__}", DAMAGED) from exc


_known: dict[str, tuple[str, float]] = {}  # whom for -> the token and its end; one process, one identity


def identity(audience: str, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The header with this machine's token for a service; none for an emulator without identities."""
    variables = os.environ if variables is None else variables
    asked = _asked(audience, variables)
    if asked is None:
        if variables.get("AZURE_STORAGE_ENDPOINT"):
            return {}
        raise RunnerError("no managed identity: neither MSI_ENDPOINT nor IDENTITY_ENDPOINT is set", DENIED)
    token, until = _known.get(audience, ("", 0.0))
    if until < time.time():
        url, headers = asked
        answer = _json(web.send("GET", url, headers=headers))
        token = str(answer.get("access_token", ""))
        _known[audience] = token, _end(answer) - _SPARE
    return web.bearer(token)


def _asked(audience: str, variables: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    """Where the identity's tokens are, and the header that they ask for."""
    client = variables.get("AZURE_CLIENT_ID") or variables.get("DEFAULT_IDENTITY_CLIENT_ID", "")
    endpoint, proof = variables.get("IDENTITY_ENDPOINT"), variables.get("IDENTITY_HEADER")
    if endpoint and proof:
        query = {"api-version": "2019-08-01", "resource": audience, **({"client_id": client} if client else {})}
        return f"{endpoint}?{urlencode(query)}", {"X-IDENTITY-HEADER": proof}
    endpoint, proof = variables.get("MSI_ENDPOINT"), variables.get("MSI_SECRET")
    if endpoint and proof:
        query = {"api-version": "2017-09-01", "resource": audience, **({"clientid": client} if client else {})}
        return f"{endpoint}?{urlencode(query)}", {"Secret": proof}
    return None


def _end(answer: Mapping[str, Any]) -> float:
    """When a token ends, in seconds since 1970. Some hosts say it in words; such a token is asked for again soon."""
    until = str(answer.get("expires_on", ""))
    return float(until) if until.isdigit() else time.time() + 5 * _SPARE


def _headers() -> dict[str, str]:
    return {"x-ms-version": _VERSION, **identity(STORAGE)}


def _upload_blocks(file: Path, place: Place) -> None:
    """Put Block for each part, then Put Block List, which makes the blob of them."""
    names = []
    with file.open("rb") as stream:
        for number, content in enumerate(iter(lambda: stream.read(_BLOCK), b"")):
            name = base64.b64encode(f"{number:08}".encode()).decode()
            digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
            query = urlencode({"comp": "block", "blockid": name})
            web.send("PUT", f"{place.address}?{query}", content, {**_headers(), "Content-MD5": digest})
            names.append(name)
    listed = "".join(f"<Latest>{name}</Latest>" for name in names)
    body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
    web.send("PUT", f"{place.address}?comp=blocklist", body, _headers())


def _xml(answer: bytes) -> ET.Element:
    try:
        return ET.fromstring(answer)  # noqa: S314  the storage service's own answer
    except ET.ParseError as exc:
        raise RunnerError("the storage service answered with something that is not XML", DAMAGED) from exc


def _json(answer: bytes) -> dict[str, Any]:
    try:
        document = json.loads(answer)
    except ValueError as exc:
        raise RunnerError("the managed identity's endpoint answered with something that is not JSON", DAMAGED) from exc
    return document if isinstance(document, dict) else {}
