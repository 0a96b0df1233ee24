"""The XML documents of blob storage: errors, lists, block lists, delegation keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from werkzeug.http import http_date
from werkzeug.wrappers import Response

from mlinfra.emulator.azure.storage.refusals import NOT_MODIFIED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlinfra.emulator.azure.storage.records import Blob, Block, Container
    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.objects.listing import Page, Query

_UNTELLABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 has no place for
_BOM = b"\xef\xbb\xbf"


def error(refusal: Refusal, request_id: str, at: str) -> Response:
    """An error's answer. A 304 has no body."""
    headers = {**refusal.headers, "x-ms-error-code": refusal.code}
    if refusal.status == NOT_MODIFIED:
        return Response(b"", refusal.status, headers)
    root = ET.Element("Error")
    _add(root, Code=refusal.code, Message=f"{refusal.message}\nRequestId:{request_id}\nTime:{at}", **refusal.details)
    response = answered(root, refusal.status)
    response.headers.extend(headers)
    return response


class Asked(NamedTuple):
    """What a list repeats of its request."""

    base: str
    container: str
    marker: str
    most: str


def blobs(asked: Asked, query: Query, page: Page[Blob], following: str, *, meta: bool) -> Response:
    """A list of blobs; `following` is the marker of the next page."""
    root = ET.Element("EnumerationResults", ServiceEndpoint=asked.base, ContainerName=asked.container)
    _add(root, **_told(Prefix=query.prefix, Marker=asked.marker, MaxResults=asked.most, Delimiter=query.delimiter))
    listed = ET.SubElement(root, "Blobs")
    entries: list[tuple[str, Blob | None]] = [(blob.name, blob) for blob in page.items]
    entries += [(prefix, None) for prefix in page.prefixes]
    for name, blob in sorted(entries, key=lambda entry: entry[0]):
        entry = ET.SubElement(listed, "Blob" if blob else "BlobPrefix")
        _name(entry, name)
        if blob:
            _add(ET.SubElement(entry, "Properties"), **blob.properties())
            if meta and blob.metadata:
                _add(ET.SubElement(entry, "Metadata"), **blob.metadata)
            ET.SubElement(entry, "OrMetadata")
    _add(root, NextMarker=following)
    return answered(root)


def containers(base: str, prefix: str, found: Iterable[Container], *, meta: bool) -> Response:
    """A list of containers."""
    root = ET.Element("EnumerationResults", ServiceEndpoint=base)
    _add(root, **_told(Prefix=prefix))
    listed = ET.SubElement(root, "Containers")
    for container in found:
        entry = ET.SubElement(listed, "Container")
        _add(entry, Name=container.name)
        told = {"Last-Modified": http_date(container.modified), "Etag": container.etag}
        told |= {"LeaseStatus": "unlocked", "LeaseState": "available"}
        _add(ET.SubElement(entry, "Properties"), **told)
        if meta and container.metadata:
            _add(ET.SubElement(entry, "Metadata"), **container.metadata)
    _add(root, NextMarker="")
    return answered(root)


def block_list(committed: Sequence[Block] | None, waiting: Sequence[Block] | None) -> Response:
    """The blocks of a blob; those that were not asked for are None."""
    root = ET.Element("BlockList")
    for kind, blocks in (("CommittedBlocks", committed), ("UncommittedBlocks", waiting)):
        if blocks is None:
            continue
        listed = ET.SubElement(root, kind)
        for block in blocks:
            _add(ET.SubElement(listed, "Block"), Name=block.id, Size=str(block.size))
    return answered(root)


def delegation_key(fields: Mapping[str, str]) -> Response:
    """A user delegation key."""
    root = ET.Element("UserDelegationKey")
    _add(root, **fields)
    return answered(root)


def answered(root: ET.Element, status: int = 200) -> Response:
    """A document's answer."""
    body = _BOM + b'<?xml version="1.0" encoding="utf-8"?>' + ET.tostring(root, encoding="utf-8", xml_declaration=False)
    return Response(body, status, content_type="application/xml")


def _name(entry: ET.Element, name: str) -> None:
    """A name, percent-encoded where XML has no place for its characters."""
    element = ET.SubElement(entry, "Name")
    if _UNTELLABLE.search(name):
        element.set("Encoded", "true")
        element.text = quote(name, safe="")
    else:
        element.text = name


def _told(**members: str) -> dict[str, str]:
    return {name: text for name, text in members.items() if text}


def _add(_element: ET.Element, **members: str) -> None:
    for name, text in members.items():
        ET.SubElement(_element, name).text = text
