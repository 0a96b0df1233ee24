"""S3 in the name of a job's execution role; what the role may not do, or is not there, fails the job.

The failures' form, `Data download failed:` and `Artifact upload failed:` with S3's own code and words behind, is that
of the service's FailureReasons as people have quoted them; no description of the API fixes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.aws.storage import split
from mlinfra.emulator.aws.training.channels import place, prefixed
from mlinfra.emulator.aws.training.faults import ClientError
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.aws.storage import Storage
    from mlinfra.emulator.aws.training.channels import Item


class RoleStore:
    """Reads and writes of one role. ClientError is raised for whatever S3 refuses."""

    def __init__(self, storage: Storage, role: str) -> None:
        self._storage = storage
        self._role = role

    def listed(self, uri: str) -> list[str]:
        """The addresses of the objects whose keys begin with the address's path, in order."""
        bucket, _ = split(uri)
        try:
            return [found.uri(bucket) for found in self._storage.list(uri, self._role)]
        except Refusal as exc:
            raise _failed("Data download failed", exc) from exc

    def read(self, uri: str) -> bytes:
        """An object's bytes."""
        try:
            return self._storage.read(uri, self._role)
        except Refusal as exc:
            raise _failed("Data download failed", exc) from exc

    def fetch(self, item: Item, folder: Path) -> None:
        """Write an object to its place below a folder."""
        target = place(folder, item)
        try:
            self._storage.download(item.uri, target, self._role)
        except Refusal as exc:
            raise _failed("Data download failed", exc) from exc

    def bring(self, prefix: str, folder: Path) -> None:
        """Write every object below a prefix to a folder."""
        for item in prefixed(prefix, self.listed(prefix)):
            self.fetch(item, folder)

    def put(self, uri: str, path: Path) -> None:
        """Store a file, whole or not at all."""
        try:
            self._storage.write(uri, path, self._role)
        except Refusal as exc:
            raise _failed("Artifact upload failed", exc) from exc


def _failed(what: str, refusal: Refusal) -> ClientError:
    return ClientError(f"{what}:{refusal.code} ({refusal.status}): {refusal.message}")
