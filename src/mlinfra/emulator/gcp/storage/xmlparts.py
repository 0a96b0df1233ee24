"""Multipart uploads of the XML API: parts in any order and at once, then one object of those that are named."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.storage import refusals
from mlinfra.emulator.objects.streams import pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.gcp.storage.drafts import Draft
    from mlinfra.emulator.gcp.storage.records import Settings, Stored
    from mlinfra.emulator.gcp.storage.shelf import Shelf, Write

SMALLEST_PART = 5 << 20  # bytes, of every part but the last
MOST_PARTS = 10_000


@dataclass
class Assembly:
    """One upload with the parts that have come."""

    bucket: str
    name: str
    settings: Settings
    parts: dict[int, Draft] = field(default_factory=dict)


class Assemblies:
    """The multipart uploads that are open. Thread-safe; errors are Refusals."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = Lock()
        self._open: dict[str, Assembly] = {}

    def open(self, bucket: str, name: str, settings: Settings) -> str:
        """Begin an upload. Returns its id."""
        self._shelf.bucket(bucket)
        upload_id = secrets.token_urlsafe(48)
        with self._lock:
            self._open[upload_id] = Assembly(bucket, name, settings)
        return upload_id

    def listed(self, bucket: str) -> list[tuple[str, Assembly]]:
        """The uploads to a bucket that are open, with their ids."""
        with self._lock:
            return [(upload_id, each) for upload_id, each in self._open.items() if each.bucket == bucket]

    def get(self, upload_id: str, bucket: str, name: str) -> Assembly:
        """An open upload to that object."""
        with self._lock:
            assembly = self._open.get(upload_id)
        if assembly is None or (assembly.bucket, assembly.name) != (bucket, name):
            raise refusals.no_upload()
        return assembly

    def add(self, assembly: Assembly, number: int, draft: Draft) -> None:
        """Keep a part, in the place of an earlier one of that number."""
        if not 1 <= number <= MOST_PARTS:
            raise refusals.invalid(f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive")
        with self._lock:
            before = assembly.parts.get(number)
            assembly.parts[number] = draft
        if before:
            before.discard()

    def complete(self, upload_id: str, assembly: Assembly, wanted: Sequence[tuple[int, str]], write: Write) -> Stored:
        """Make the named parts, each a number and an entity tag, one object; the upload ends."""
        parts = _checked(assembly, wanted)
        draft = self._shelf.draft()
        try:
            for part in parts:
                with part.file.open("rb") as file:
                    draft.add(pieces(file))
            stored = self._shelf.put(assembly.bucket, assembly.name, draft, write, composed=len(parts))
        except BaseException:
            draft.discard()
            raise
        self.drop(upload_id)
        return stored

    def drop(self, upload_id: str) -> None:
        """End an upload and forget its parts. Safe to repeat."""
        with self._lock:
            assembly = self._open.pop(upload_id, None)
        for draft in assembly.parts.values() if assembly else ():
            draft.discard()


def _checked(assembly: Assembly, wanted: Sequence[tuple[int, str]]) -> list[Draft]:
    numbers = [number for number, _ in wanted]
    if not wanted:
        raise refusals.refusal(400, "MalformedCompleteMultipartUploadRequest", "invalid", "No parts were named.")
    if numbers != sorted(set(numbers)):
        message = "The list of parts was not in ascending order."
        raise refusals.refusal(400, "InvalidPartOrder", "invalid", message)
    for number, etag in wanted:
        part = assembly.parts.get(number)
        if part is None or part.md5_hex != etag:
            message = f"The requested upload part {number} was not found, or its entity tag did not match."
            raise refusals.refusal(400, "InvalidPart", "invalid", message)
    parts = [assembly.parts[number] for number in numbers]
    if any(part.size < SMALLEST_PART for part in parts[:-1]):
        message = "Your proposed upload is smaller than the minimum object size specified."
        raise refusals.refusal(400, "EntityTooSmall", "invalid", message)
    return parts
