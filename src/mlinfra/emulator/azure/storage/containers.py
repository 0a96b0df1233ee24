"""The operations on a container and on the account, by the vendor's REST reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from mlinfra.emulator.azure.storage import access, documents, refusals
from mlinfra.emulator.azure.storage.records import identity
from mlinfra.emulator.objects import listing

if TYPE_CHECKING:
    from mlinfra.emulator.azure.storage.records import Blob
    from mlinfra.emulator.azure.storage.storage import Storage
    from mlinfra.emulator.azure.storage.visit import Visit

_LARGEST_PAGE = 5000
_KEY_VERSION = "2020-12-06"


def create(storage: Storage, visit: Visit) -> Response:
    """Create Container."""
    visit.allow(access.WRITE_CONTAINER)
    if visit.header("x-ms-blob-public-access"):
        message = "Public access is not permitted on this storage account."
        raise refusals.refusal(409, "PublicAccessNotPermitted", message)
    made = storage.shelf.create_container(visit.at.account, visit.at.container, visit.metadata())
    return Response(b"", 201, identity(made))


def get(storage: Storage, visit: Visit) -> Response:
    """Get Container Properties."""
    visit.allow(access.READ_CONTAINER)
    return Response(b"", 200, storage.shelf.container(visit.at).headers())


def set_metadata(storage: Storage, visit: Visit) -> Response:
    """Set Container Metadata: what was there is gone."""
    visit.allow(access.WRITE_CONTAINER)
    changed = storage.shelf.describe_container(visit.at, visit.metadata(), visit.conditions)
    return Response(b"", 200, identity(changed))


def delete(storage: Storage, visit: Visit) -> Response:
    """Delete Container."""
    visit.allow(access.DELETE_CONTAINER)
    storage.shelf.delete_container(visit.at, visit.conditions)
    return Response(b"", 202)


def list_blobs(storage: Storage, visit: Visit) -> Response:
    """List Blobs."""
    prefix, marker, most = (visit.argument(name) for name in ("prefix", "marker", "maxresults"))
    visit.allow(access.LIST, visit.at._replace(name=prefix) if prefix else visit.at)
    after = listing.after(marker)
    if after is None:
        raise refusals.invalid_query("marker", marker)
    query = listing.Query(
        prefix=prefix,
        delimiter=visit.argument("delimiter"),
        begin=visit.argument("startFrom"),
        after=after,
        most=_most(most),
    )
    wanted = _included(visit)
    page: listing.Page[Blob] = listing.page(lambda *span: storage.shelf.starting(visit.at, *span), query)
    following = listing.token(page.last) if page.last else ""
    told = documents.Asked(visit.base, visit.at.container, marker, most)
    return documents.blobs(told, query, page, following, meta="metadata" in wanted)


def list_containers(storage: Storage, visit: Visit) -> Response:
    """List Containers."""
    visit.allow(access.READ_CONTAINER)
    prefix = visit.argument("prefix")
    found = storage.shelf.containers(visit.at.account, prefix)
    return documents.containers(visit.base, prefix, found, meta="metadata" in _included(visit))


def account(storage: Storage, visit: Visit) -> Response:
    """Get Account Information."""
    del storage
    visit.allow(access.READ_CONTAINER, visit.at._replace(container="", name=""))
    told = {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2", "x-ms-is-hns-enabled": "false"}
    return Response(b"", 200, told)


def delegation_key(storage: Storage, visit: Visit) -> Response:
    """Get User Delegation Key."""
    visit.allow(access.DELEGATE)
    root = visit.document()
    start, expiry = (root.findtext(name) or "" for name in ("Start", "Expiry"))
    if not expiry:
        raise refusals.invalid_document("KeyInfo has no Expiry")
    fields = {
        "SignedOid": visit.access.principal,
        "SignedTid": storage.tenant,
        "SignedStart": start,
        "SignedExpiry": expiry,
        "SignedService": "b",
        "SignedVersion": visit.header("x-ms-version", _KEY_VERSION),
    }
    names = dict(zip(("skoid", "sktid", "skt", "ske", "sks", "skv"), fields.values(), strict=True))
    value = storage.signer.delegation_key(visit.at.account, names)
    return documents.delegation_key({**fields, "Value": value})


def _most(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise refusals.invalid_query("maxresults", text)
    return min(int(text) if text else _LARGEST_PAGE, _LARGEST_PAGE)


def _included(visit: Visit) -> set[str]:
    """What a list is to tell beside. What is not kept here is never there."""
    return {part.strip().lower() for part in visit.argument("include").split(",") if part.strip()}
