"""Blocks: staged one by one, in any order and at once; then a list of them becomes the blob.

By the REST reference's "Put Block", "Put Block List" and "Get Block List".
"""

from __future__ import annotations

import base64
import binascii
from contextlib import nullcontext
from typing import IO, TYPE_CHECKING, NamedTuple

from mlinfra.emulator.azure.storage import refusals
from mlinfra.emulator.azure.storage.records import Block
from mlinfra.emulator.objects.streams import of_file, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.azure.storage.records import Blob
    from mlinfra.emulator.azure.storage.shelf import Shelf, Write
    from mlinfra.emulator.objects.drafts import Draft

LARGEST_BLOCK = 4000 << 20  # bytes
LARGEST_BLOB = 5000 << 20  # bytes that Put Blob takes at once
_LONGEST_ID = 64  # bytes
_MOST_WAITING = 100_000
_MOST_BLOCKS = 50_000
COMMITTED, UNCOMMITTED, LATEST = "Committed", "Uncommitted", "Latest"


class Wanted(NamedTuple):
    """An entry of a block list: where the block is looked for, and its id."""

    where: str
    id: str


def check_id(block: str) -> str:
    """A block's id.

    Raises:
        Refusal: it is no base64 of at most 64 bytes.
    """
    try:
        size = len(base64.b64decode(block, validate=True))
    except binascii.Error:
        size = 0
    if not 0 < size <= _LONGEST_ID:
        raise refusals.invalid_query("blockid", block, "Not a valid base64 string.")
    return block


def stage(shelf: Shelf, at: Address, block: str, draft: Draft, allow: Callable[[Blob | None], None]) -> None:
    """Keep a block, in the place of an earlier one of that id."""
    with shelf.lock:
        shelved = shelf.shelved(at)
        allow(shelved.blobs.get(at.name))
        waiting = shelved.waiting.setdefault(at.name, {})
        if waiting and len(next(iter(waiting))) != len(block):
            raise refusals.block_list("InvalidBlobOrBlock", "The specified blob or block content is invalid.")
        if len(waiting) >= _MOST_WAITING and block not in waiting:
            message = "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks."
            raise refusals.refusal(409, "BlockCountExceedsLimit", message)
        before = waiting.get(block)
        waiting[block] = draft
    if before:
        before.discard()


def commit(shelf: Shelf, at: Address, wanted: Sequence[Wanted], write: Write) -> Blob:
    """Make the named blocks the blob; the others are lost."""
    if len(wanted) > _MOST_BLOCKS:
        message = "The block list may not contain more than 50,000 blocks."
        raise refusals.block_list("BlockListTooLong", message)
    draft = shelf.draft()
    try:
        with shelf.lock:
            shelved = shelf.shelved(at)
            blob = shelved.blobs.get(at.name)
            write.allow(blob)
            write.conditions.check(blob)
            found = [_find(each, shelved.waiting.get(at.name, {}), blob) for each in wanted]
            with blob.file.open("rb") if blob else nullcontext() as old:
                for source in found:
                    draft.add(source.pieces(old))
            blocks = tuple(Block(each.id, source.size) for each, source in zip(wanted, found, strict=True))
            return shelf.put(at, draft, write, blocks)
    except BaseException:
        draft.discard()
        raise


def listed(shelf: Shelf, at: Address) -> tuple[Blob | None, list[Block]]:
    """The blob with its committed blocks, and the blocks that wait. Refuses where there is neither."""
    with shelf.lock:
        shelved = shelf.shelved(at)
        blob = shelved.blobs.get(at.name)
        waiting = [Block(name, draft.size) for name, draft in shelved.waiting.get(at.name, {}).items()]
    if blob is None and not waiting:
        raise refusals.no_blob()
    return blob, waiting


class _Source(NamedTuple):
    """Where the bytes of a block are: in a draft, or in the blob as it is, from an offset on."""

    size: int
    draft: Draft | None
    offset: int = 0

    def pieces(self, old: IO[bytes] | None) -> Iterable[bytes]:
        if self.draft:
            return of_file(self.draft.file)
        if old is None:
            return ()
        old.seek(self.offset)
        return pieces(old, self.size)


def _find(wanted: Wanted, waiting: dict[str, Draft], blob: Blob | None) -> _Source:
    draft = waiting.get(wanted.id)
    if draft and wanted.where in {UNCOMMITTED, LATEST}:
        return _Source(draft.size, draft)
    offset = 0
    for block in blob.blocks if blob and wanted.where in {COMMITTED, LATEST} else ():
        if block.id == wanted.id:
            return _Source(block.size, None, offset)
        offset += block.size
    raise refusals.block_list()
