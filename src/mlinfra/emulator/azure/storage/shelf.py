"""The containers and their blobs: every write happens as a whole under one lock, its bytes wait in a file before that.

What is known of a blob is in memory, as long as the emulator lives; bytes are files that never change. So a reader of
a blob that is replaced reads on, and a writer that dies leaves the old one. Blocks that nobody commits are no blob.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from itertools import count
from threading import RLock
from typing import IO, TYPE_CHECKING, Any

from mlinfra.emulator.azure.storage import refusals
from mlinfra.emulator.azure.storage.conditions import Conditions
from mlinfra.emulator.azure.storage.names import check_blob, check_container
from mlinfra.emulator.azure.storage.records import Blob, Block, Container, Copy
from mlinfra.emulator.objects.drafts import Draft
from mlinfra.emulator.objects.names import InOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from mlinfra.emulator.azure.storage.names import Address

NO_CONDITIONS = Conditions()


@dataclass(frozen=True)
class Write:
    """What a write asks for beside the bytes. `allow` is called with the blob that is there, or None; it may refuse."""

    settings: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    conditions: Conditions = NO_CONDITIONS
    allow: Callable[[Blob | None], None] = lambda _current: None
    md5: str = ""
    copy: Copy | None = None


@dataclass
class Shelved:
    """A container with its blobs, and the blocks that wait to be committed, by blob and id."""

    container: Container
    blobs: InOrder[Blob] = field(default_factory=InOrder)
    waiting: dict[str, dict[str, Draft]] = field(default_factory=dict)

    def forget(self, name: str) -> None:
        """Drop the blocks that wait for a blob."""
        for draft in self.waiting.pop(name, {}).values():
            draft.discard()


class Shelf:
    """All accounts of one emulator. Thread-safe; every method is decided at once. Errors are Refusals."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self.lock = RLock()  # makes several calls one: a look and the write that depends on it
        self._folder = folder
        self._now = now
        self._serial = count(1)
        self._accounts: dict[str, dict[str, Shelved]] = {}

    def now(self) -> datetime:
        """The emulator's time."""
        return self._now()

    # Accounts and containers

    def add_account(self, account: str) -> None:
        """Open an account where there is none."""
        with self.lock:
            self._accounts.setdefault(account, {})

    def drop_account(self, account: str) -> None:
        """Close an account, with all that it holds. Safe to repeat."""
        with self.lock:
            for shelved in self._accounts.pop(account, {}).values():
                _empty(shelved)

    def accounts(self) -> list[str]:
        """The accounts, in order."""
        with self.lock:
            return sorted(self._accounts)

    def create_container(self, account: str, name: str, metadata: Mapping[str, str]) -> Container:
        """Make a container. Refuses a name that is taken or impossible."""
        check_container(name)
        with self.lock:
            known = self._account(account)
            if name in known:
                raise refusals.container_taken()
            known[name] = Shelved(Container(account, name, self._etag(), self._now(), dict(metadata)))
            return known[name].container

    def container(self, at: Address) -> Container:
        """A container."""
        return self.shelved(at).container

    def containers(self, account: str, prefix: str = "") -> list[Container]:
        """Those of an account whose names begin so, in order."""
        with self.lock:
            known = self._account(account)
            return [known[name].container for name in sorted(known) if name.startswith(prefix)]

    def describe_container(self, at: Address, metadata: Mapping[str, str], conditions: Conditions) -> Container:
        """Change what is said of a container."""
        with self.lock:
            shelved = self.shelved(at)
            conditions.check(shelved.container)
            shelved.container = replace(
                shelved.container, metadata=dict(metadata), etag=self._etag(), modified=self._now()
            )
            return shelved.container

    def delete_container(self, at: Address, conditions: Conditions = NO_CONDITIONS) -> None:
        """Remove a container with all that it holds."""
        with self.lock:
            shelved = self.shelved(at)
            conditions.check(shelved.container)
            del self._accounts[at.account][at.container]
            _empty(shelved)

    # Blobs

    def draft(self) -> Draft:
        """A place for bytes that arrive."""
        return Draft(self._folder)

    def put(self, at: Address, draft: Draft, write: Write, blocks: tuple[Block, ...] = ()) -> Blob:
        """Make a draft the blob of that name; the draft is used up unless this is refused. Waiting blocks are lost."""
        check_blob(at.name)
        with self.lock:
            shelved = self.shelved(at)
            before = shelved.blobs.get(at.name)
            write.allow(before)
            write.conditions.check(before)
            now = self._now()
            blob = Blob(
                at.name,
                draft.file,
                draft.size,
                self._etag(),
                before.created if before else now,
                now,
                md5=write.md5,
                settings=write.settings,
                metadata=write.metadata,
                blocks=blocks,
                copy=write.copy,
            )
            shelved.blobs.put(blob)
            shelved.forget(at.name)
        if before:
            before.file.unlink(missing_ok=True)
        return blob

    def get(self, at: Address, conditions: Conditions = NO_CONDITIONS) -> Blob:
        """A blob."""
        with self.lock:
            blob = self.current(at)
            if blob is None:
                raise refusals.no_blob()
            conditions.check(blob, reading=True)
            return blob

    def read(self, at: Address, conditions: Conditions = NO_CONDITIONS) -> tuple[Blob, IO[bytes]]:
        """A blob and its bytes as a file, which stays readable when the blob is replaced or gone."""
        with self.lock:
            blob = self.get(at, conditions)
            return blob, blob.file.open("rb")

    def current(self, at: Address) -> Blob | None:
        """A blob, None where there is none. Refuses where there is no container."""
        with self.lock:
            return self.shelved(at).blobs.get(at.name)

    def delete(self, at: Address, conditions: Conditions = NO_CONDITIONS) -> None:
        """Remove a blob, and the blocks that wait for it."""
        with self.lock:
            shelved = self.shelved(at)
            blob = shelved.blobs.get(at.name)
            if blob is None:
                raise refusals.no_blob()
            conditions.check(blob)
            shelved.blobs.drop(at.name)
            shelved.forget(at.name)
        blob.file.unlink(missing_ok=True)

    def describe(self, at: Address, conditions: Conditions, **changes: Any) -> Blob:
        """Change what is said of a blob; its bytes stay."""
        with self.lock:
            blob = self.current(at)
            if blob is None:
                raise refusals.no_blob()
            conditions.check(blob)
            changed = replace(blob, etag=self._etag(), modified=self._now(), **changes)
            self.shelved(at).blobs.put(changed)
            return changed

    def linked(self, source: Blob) -> Draft:
        """A draft with a blob's bytes. Hold the lock since you got the blob."""
        draft = self.draft()
        draft.size = source.size
        draft.file.unlink()
        try:
            os.link(source.file, draft.file)  # files never change
        except OSError:
            shutil.copyfile(source.file, draft.file)
        return draft

    def starting(self, at: Address, prefix: str, begin: str = "") -> list[Blob]:
        """The blobs of a container whose names begin so, from a name on, in order."""
        with self.lock:
            return self.shelved(at).blobs.starting(prefix, begin)

    def shelved(self, at: Address) -> Shelved:
        """A container and all that it holds; hold the lock."""
        with self.lock:
            found = self._account(at.account).get(at.container)
            if found is None:
                raise refusals.no_container()
            return found

    def _account(self, account: str) -> dict[str, Shelved]:
        if account not in self._accounts:
            raise refusals.no_account()
        return self._accounts[account]

    def _etag(self) -> str:
        """One that no other change had."""
        return f'"0x{int(self._now().timestamp() * 1e7) + next(self._serial) + 0x08D0_0000_0000_0000:016X}"'


def _empty(shelved: Shelved) -> None:
    for blob in shelved.blobs:
        blob.file.unlink(missing_ok=True)
    for name in list(shelved.waiting):
        shelved.forget(name)
