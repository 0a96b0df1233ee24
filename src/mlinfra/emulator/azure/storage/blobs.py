"""The operations on a blob, by the vendor's REST reference: what each asks for, does and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from werkzeug.wrappers import Response

from mlinfra.emulator.azure.storage import access, blocks, copies, documents, media, refusals
from mlinfra.emulator.azure.storage.names import check_blob
from mlinfra.emulator.azure.storage.records import CONTENT_TYPE, DEFAULT_TYPE, Copy, identity
from mlinfra.emulator.azure.storage.shelf import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.azure.storage.records import Blob
    from mlinfra.emulator.azure.storage.storage import Storage
    from mlinfra.emulator.azure.storage.visit import Visit
    from mlinfra.emulator.objects.drafts import Draft

_ENCRYPTED = {"x-ms-request-server-encrypted": "true"}
_BLOB_TYPE = "x-ms-blob-type"
_BLOCK_LISTS = ("committed", "uncommitted", "all")


def get(storage: Storage, visit: Visit) -> Response:
    """Get Blob."""
    visit.allow(access.READ)
    blob, file = storage.shelf.read(visit.at, visit.conditions)
    return media.answer(blob, file, visit)


def head(storage: Storage, visit: Visit) -> Response:
    """Get Blob Properties."""
    visit.allow(access.READ)
    return media.head(storage.shelf.get(visit.at, visit.conditions))


def metadata(storage: Storage, visit: Visit) -> Response:
    """Get Blob Metadata."""
    visit.allow(access.READ)
    blob = storage.shelf.get(visit.at, visit.conditions)
    told = {name: value for name, value in blob.headers().items() if name.startswith("x-ms-meta-")}
    return Response(b"", 200, {**identity(blob), **told})


def put(storage: Storage, visit: Visit) -> Response:
    """Put Blob, of the type BlockBlob."""
    kind = visit.header(_BLOB_TYPE)
    if not kind:
        raise refusals.missing_header(_BLOB_TYPE)
    if kind != "BlockBlob":
        raise refusals.not_emulated(f"A blob of the type {kind}")
    _check(visit)
    settings = visit.settings(visit.header(CONTENT_TYPE) or DEFAULT_TYPE)

    def fill(draft: Draft) -> Response:
        told = visit.receive(draft, blocks.LARGEST_BLOB)
        promised = visit.header("x-ms-blob-content-md5")
        if promised and promised != draft.md5:
            raise refusals.damaged("Md5", promised, draft.md5)
        write = _write(visit, settings=settings, md5=draft.md5)
        return _written(storage.shelf.put(visit.at, draft, write), told)

    return _drafted(storage, fill)


def put_from(storage: Storage, visit: Visit) -> Response:
    """Put Blob From URL."""
    _check(visit)

    def fill(draft: Draft) -> Response:
        found = copies.receive(storage, visit, draft)
        settings, metadata = _described_as(visit, found)
        write = _write(visit, settings=settings, metadata=metadata, md5=draft.md5)
        return _written(storage.shelf.put(visit.at, draft, write), {"Content-MD5": draft.md5})

    return _drafted(storage, fill)


def copy(storage: Storage, visit: Visit) -> Response:
    """Copy Blob, and Copy Blob From URL: both are done when they answer."""
    _check(visit)
    with storage.shelf.lock:
        found = copies.source(storage, visit)
        done = Copy(str(uuid4()), visit.header(copies.SOURCE).partition("?")[0], storage.shelf.now())
        metadata = visit.metadata() or found.metadata
        write = _write(visit, settings=found.settings, metadata=metadata, md5=found.md5, copy=done)
        draft = storage.shelf.linked(found)
        try:
            blob = storage.shelf.put(visit.at, draft, write, found.blocks)
        except BaseException:
            draft.discard()
            raise
    told = {"x-ms-copy-id": done.id, "x-ms-copy-status": "success"}
    return Response(b"", 202, {**identity(blob), **told})


def delete(storage: Storage, visit: Visit) -> Response:
    """Delete Blob."""
    visit.allow(access.DELETE)
    storage.shelf.delete(visit.at, visit.conditions)
    return Response(b"", 202, {"x-ms-delete-type-permanent": "true"})


def set_metadata(storage: Storage, visit: Visit) -> Response:
    """Set Blob Metadata: what was there is gone."""
    visit.allow(access.WRITE)
    blob = storage.shelf.describe(visit.at, visit.conditions, metadata=visit.metadata())
    return Response(b"", 200, {**identity(blob), **_ENCRYPTED})


def set_properties(storage: Storage, visit: Visit) -> Response:
    """Set Blob Properties: where any of them is named, those that are not are emptied."""
    visit.allow(access.WRITE)
    settings, md5 = visit.settings(), visit.header("x-ms-blob-content-md5")
    changes = {"settings": {CONTENT_TYPE: DEFAULT_TYPE, **settings}, "md5": md5} if settings or md5 else {}
    blob = storage.shelf.describe(visit.at, visit.conditions, **changes)
    return Response(b"", 200, identity(blob))


def put_block(storage: Storage, visit: Visit) -> Response:
    """Put Block, and Put Block From URL."""
    _check(visit)
    block = blocks.check_id(visit.argument("blockid"))

    def fill(draft: Draft) -> Response:
        if visit.header(copies.SOURCE):
            copies.receive(storage, visit, draft)
            told = {"Content-MD5": draft.md5}
        else:
            told = visit.receive(draft, blocks.LARGEST_BLOCK)
        blocks.stage(storage.shelf, visit.at, block, draft, _permission(visit))
        return Response(b"", 201, {**told, **_ENCRYPTED})

    return _drafted(storage, fill)


def put_block_list(storage: Storage, visit: Visit) -> Response:
    """Put Block List."""
    _check(visit)
    root = visit.document()
    wanted = [blocks.Wanted(element.tag, element.text or "") for element in root]
    if root.tag != "BlockList" or {each.where for each in wanted} - {
        blocks.COMMITTED,
        blocks.UNCOMMITTED,
        blocks.LATEST,
    }:
        raise refusals.invalid_document("not a block list")
    write = _write(visit, settings=visit.settings(DEFAULT_TYPE), md5=visit.header("x-ms-blob-content-md5"))
    return _written(blocks.commit(storage.shelf, visit.at, wanted, write), {})


def get_block_list(storage: Storage, visit: Visit) -> Response:
    """Get Block List."""
    visit.allow(access.READ)
    kind = visit.argument("blocklisttype", "committed").lower()
    if kind not in _BLOCK_LISTS:
        raise refusals.invalid_query("blocklisttype", kind)
    blob, waiting = blocks.listed(storage.shelf, visit.at)
    committed = blob.blocks if blob else ()
    response = documents.block_list(
        committed if kind != "uncommitted" else None, waiting if kind != "committed" else None
    )
    if blob:
        response.headers.extend({**identity(blob), "x-ms-blob-content-length": str(blob.size)})
    return response


def _check(visit: Visit) -> None:
    """Look at what a write names before its body is read; who may not write at all is refused at once."""
    check_blob(visit.at.name)
    visit.allow(access.CREATE)


def _permission(visit: Visit) -> Callable[[Blob | None], None]:
    """What a write needs: more where it replaces something."""
    return lambda current: visit.allow(access.WRITE if current else access.CREATE)


def _write(
    visit: Visit,
    *,
    settings: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
    md5: str = "",
    copy: Copy | None = None,
) -> Write:
    told = visit.metadata() if metadata is None else metadata
    return Write(settings, told, visit.conditions, _permission(visit), md5, copy)


def _described_as(visit: Visit, found: Blob) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Settings and metadata of a copy: the source's, where the writer does not say otherwise."""
    if visit.header("x-ms-copy-source-blob-properties", "true").lower() == "false":
        return visit.settings(DEFAULT_TYPE), visit.metadata()
    return {**found.settings, **visit.settings()}, visit.metadata() or found.metadata


def _drafted(storage: Storage, fill: Callable[[Draft], Response]) -> Response:
    """Let a draft become what `fill` makes of it, or nothing."""
    draft = storage.shelf.draft()
    try:
        return fill(draft)
    except BaseException:
        draft.discard()
        raise


def _written(blob: Blob, told: Mapping[str, str]) -> Response:
    return Response(b"", 201, {**identity(blob), **told, **_ENCRYPTED})
