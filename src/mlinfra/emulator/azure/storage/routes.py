"""Which operation a request asks for: the method, what the path names, and what the query and the headers hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mlinfra.emulator.azure.storage import blobs, containers, refusals
from mlinfra.emulator.azure.storage.copies import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.azure.storage.storage import Storage
    from mlinfra.emulator.azure.storage.visit import Visit


class Route(NamedTuple):
    """An operation, by the name under which the service logs it."""

    operation: str
    handle: Callable[[Storage, Visit], Response]


_UNKNOWN = ("snapshot", "versionid", "deletetype")  # what is told apart by them is not kept
_BATCH = "BlobBatch"
# Method, level, `restype`, `comp`, and what a copy is made into.
_ROUTES: dict[tuple[str, str, str, str, str], Route] = {
    ("GET", "account", "", "list", ""): Route("ListContainers", containers.list_containers),
    ("GET", "account", "account", "properties", ""): Route("GetAccountInformation", containers.account),
    ("HEAD", "account", "account", "properties", ""): Route("GetAccountInformation", containers.account),
    ("POST", "account", "service", "userdelegationkey", ""): Route("GetUserDelegationKey", containers.delegation_key),
    ("PUT", "container", "container", "", ""): Route("CreateContainer", containers.create),
    ("GET", "container", "container", "", ""): Route("GetContainerProperties", containers.get),
    ("HEAD", "container", "container", "", ""): Route("GetContainerProperties", containers.get),
    ("GET", "container", "container", "metadata", ""): Route("GetContainerMetadata", containers.get),
    ("HEAD", "container", "container", "metadata", ""): Route("GetContainerMetadata", containers.get),
    ("PUT", "container", "container", "metadata", ""): Route("SetContainerMetadata", containers.set_metadata),
    ("DELETE", "container", "container", "", ""): Route("DeleteContainer", containers.delete),
    ("GET", "container", "container", "list", ""): Route("ListBlobs", containers.list_blobs),
    ("GET", "container", "account", "properties", ""): Route("GetAccountInformation", containers.account),
    ("GET", "blob", "", "", ""): Route("GetBlob", blobs.get),
    ("HEAD", "blob", "", "", ""): Route("GetBlobProperties", blobs.head),
    ("GET", "blob", "", "metadata", ""): Route("GetBlobMetadata", blobs.metadata),
    ("HEAD", "blob", "", "metadata", ""): Route("GetBlobMetadata", blobs.metadata),
    ("PUT", "blob", "", "", ""): Route("PutBlob", blobs.put),
    ("PUT", "blob", "", "", "BlockBlob"): Route("PutBlobFromURL", blobs.put_from),
    ("PUT", "blob", "", "", "copy"): Route("CopyBlob", blobs.copy),
    ("PUT", "blob", "", "metadata", ""): Route("SetBlobMetadata", blobs.set_metadata),
    ("PUT", "blob", "", "properties", ""): Route("SetBlobProperties", blobs.set_properties),
    ("PUT", "blob", "", "block", ""): Route("PutBlock", blobs.put_block),
    ("PUT", "blob", "", "block", "copy"): Route("PutBlockFromURL", blobs.put_block),
    ("PUT", "blob", "", "blocklist", ""): Route("PutBlockList", blobs.put_block_list),
    ("GET", "blob", "", "blocklist", ""): Route("GetBlockList", blobs.get_block_list),
    ("DELETE", "blob", "", "", ""): Route("DeleteBlob", blobs.delete),
}
OPERATIONS = sorted({_BATCH, *(route.operation for route in _ROUTES.values())})


def route(request: Request, at: Address) -> Route:
    """What a request asks for.

    Raises:
        Refusal: it is not emulated.
    """
    for name in _UNKNOWN:
        if request.args.get(name):
            raise refusals.not_emulated(f"{name} in a request's query")
    level = "blob" if at.name else "container" if at.container else "account"
    restype, comp = (request.args.get(name, "") for name in ("restype", "comp"))
    copying = (request.headers.get("x-ms-blob-type") or "copy") if SOURCE in request.headers else ""
    found = _ROUTES.get((request.method, level, restype, comp, copying))
    if found is None:
        asked = " ".join(filter(None, (request.method, level, restype, comp, copying)))
        raise refusals.not_emulated(f"The operation '{asked}' of blob storage")
    return found


def is_batch(request: Request) -> bool:
    """Whether it holds several others."""
    return request.method == "POST" and request.args.get("comp") == "batch"
