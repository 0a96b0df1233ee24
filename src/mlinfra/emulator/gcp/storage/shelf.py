"""The buckets and their objects: every write happens as a whole under one lock, its bytes wait in a file before that.

What is known of an object is in memory, as long as the emulator lives; bytes are files, one for each generation, that
never change. So a reader of an object that is replaced reads on, and a writer that dies leaves the old one.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.gcp.storage import refusals
from mlinfra.emulator.gcp.storage.conditions import Conditions
from mlinfra.emulator.gcp.storage.drafts import Draft
from mlinfra.emulator.gcp.storage.names import check_bucket, check_object
from mlinfra.emulator.gcp.storage.records import Bucket, Settings, Stored, patched
from mlinfra.emulator.objects.names import InOrder
from mlinfra.emulator.objects.streams import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

NO_CONDITIONS = Conditions()


class Write(NamedTuple):
    """What a write asks for beside the bytes. `replacing` is called where an object is there; it may refuse."""

    settings: Settings
    conditions: Conditions = NO_CONDITIONS
    replacing: Callable[[], None] = lambda: None


@dataclass
class _Shelved:
    """A bucket with its objects."""

    bucket: Bucket
    objects: InOrder[Stored] = field(default_factory=InOrder)


class Shelf:
    """All buckets of one emulator. Thread-safe; every method is decided at once. Errors are Refusals."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self.lock = RLock()  # makes several calls one: a look and the write that depends on it
        self._folder = folder
        self._now = now
        self._buckets: dict[str, _Shelved] = {}
        self._last_generation = 0

    # Buckets

    def create_bucket(self, name: str, settings: Settings) -> Bucket:
        """Make a bucket. Refuses a name that is taken or impossible."""
        check_bucket(name)
        with self.lock:
            if name in self._buckets:
                raise refusals.bucket_taken(name)
            now = self._now()
            self._buckets[name] = _Shelved(Bucket(name, now, now, settings))
            return self._buckets[name].bucket

    def bucket(self, name: str) -> Bucket:
        """A bucket."""
        with self.lock:
            return self._shelved(name).bucket

    def buckets(self, prefix: str = "") -> list[Bucket]:
        """Every bucket whose name begins so, in order."""
        with self.lock:
            return [self._buckets[name].bucket for name in sorted(self._buckets) if name.startswith(prefix)]

    def patch_bucket(self, name: str, changes: Mapping[str, Any], conditions: Conditions = NO_CONDITIONS) -> Bucket:
        """Change a bucket's settings; null removes one."""
        with self.lock:
            shelved = self._shelved(name)
            before = shelved.bucket
            if conditions.metageneration not in {None, before.metageneration}:
                raise refusals.condition()
            shelved.bucket = replace(
                before,
                settings=patched(before.settings, changes),
                updated=self._now(),
                metageneration=before.metageneration + 1,
            )
            return shelved.bucket

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket. Refuses one that holds objects."""
        with self.lock:
            if self._shelved(name).objects:
                raise refusals.bucket_not_empty()
            del self._buckets[name]

    # Objects

    def draft(self) -> Draft:
        """A place for bytes that arrive."""
        return Draft(self._folder)

    def put(self, bucket: str, name: str, draft: Draft, write: Write, *, composed: int = 0) -> Stored:
        """Make a draft the object of that name; the draft is used up unless this is refused.

        `composed` counts the parts of an object that was composed; such a one has no MD5.
        """
        check_object(name)
        with self.lock:
            shelved = self._shelved(bucket)
            self._check_write(shelved, name, write)
            stored = Stored(
                bucket,
                name,
                draft.file,
                draft.size,
                draft.crc32c,
                None if composed else draft.md5,
                **self._birth(),
                settings=write.settings,
                components=composed or None,
            )
            self._place(shelved, stored)
            return stored

    def get(
        self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> Stored:
        """An object; of earlier generations there is none."""
        with self.lock:
            stored = self._found(bucket, name, generation)
            conditions.check(stored, reading=True)
            return stored

    def read(
        self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> tuple[Stored, IO[bytes]]:
        """An object and its bytes as a file, which stays readable when the object is replaced or gone."""
        with self.lock:
            stored = self.get(bucket, name, generation, conditions)
            return stored, stored.file.open("rb")

    def delete(
        self, bucket: str, name: str, generation: int | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Remove an object."""
        with self.lock:
            stored = self._found(bucket, name, generation)
            conditions.check(stored)
            self._shelved(bucket).objects.drop(name)
            stored.file.unlink(missing_ok=True)

    def describe(
        self,
        bucket: str,
        name: str,
        change: Callable[[Settings], Settings],
        conditions: Conditions = NO_CONDITIONS,
        generation: int | None = None,
    ) -> Stored:
        """Change what is said of an object; its bytes and its generation stay."""
        with self.lock:
            before = self._found(bucket, name, generation)
            conditions.check(before)
            stored = replace(
                before,
                settings=change(before.settings),
                metageneration=before.metageneration + 1,
                updated=self._now(),
            )
            self._shelved(bucket).objects.put(stored)
            return stored

    def copy(self, source: Stored, bucket: str, name: str, write: Write) -> Stored:
        """A new object with another's bytes. Hold the lock since you got the other."""
        check_object(name)
        with self.lock:
            shelved = self._shelved(bucket)
            self._check_write(shelved, name, write)
            copy = self.draft()
            _link(source, copy.file)
            stored = replace(
                source,
                bucket=bucket,
                name=name,
                file=copy.file,
                settings=write.settings,
                metageneration=1,
                **self._birth(),
            )
            self._place(shelved, stored)
            return stored

    def compose(self, sources: Sequence[tuple[Stored, IO[bytes]]], bucket: str, name: str, write: Write) -> Stored:
        """A new object with the bytes of several, one behind the other; their files are closed."""
        draft = self.draft()
        try:
            for _, file in sources:
                draft.add(pieces(file))
            count = sum(source.components or 1 for source, _ in sources)
            return self.put(bucket, name, draft, write, composed=count)
        except BaseException:
            draft.discard()
            raise
        finally:
            for _, file in sources:
                file.close()

    def names(self, bucket: str, prefix: str, begin: str) -> Iterator[Stored]:
        """The objects of a bucket whose names begin with the prefix and do not come before `begin`, in order."""
        with self.lock:
            return iter(self._shelved(bucket).objects.starting(prefix, begin))

    def current(self, bucket: str, name: str) -> Stored | None:
        """An object, None where there is none. Refuses where there is no bucket."""
        with self.lock:
            return self._shelved(bucket).objects.get(name)

    def _shelved(self, bucket: str) -> _Shelved:
        if bucket not in self._buckets:
            raise refusals.no_bucket()
        return self._buckets[bucket]

    def _found(self, bucket: str, name: str, generation: int | None) -> Stored:
        stored = self._shelved(bucket).objects.get(name)
        if stored is None or generation not in {None, stored.generation}:
            raise refusals.no_object(bucket, name)
        return stored

    def _check_write(self, shelved: _Shelved, name: str, write: Write) -> None:
        current = shelved.objects.get(name)
        write.conditions.check(current)
        if current:
            write.replacing()

    def _birth(self) -> dict[str, Any]:
        """Generations are microseconds of the time at which they came into being, and always grow."""
        now = self._now()
        self._last_generation = max(self._last_generation + 1, int(now.timestamp() * 1_000_000))
        return {"generation": self._last_generation, "created": now, "updated": now}

    def _place(self, shelved: _Shelved, stored: Stored) -> None:
        before = shelved.objects.get(stored.name)
        shelved.objects.put(stored)
        if before:
            before.file.unlink(missing_ok=True)


def _link(source: Stored, target: Path) -> None:
    """The same bytes under another name; files never change, so a link will do where the file system has them."""
    target.unlink()
    try:
        os.link(source.file, target)
    except OSError:
        shutil.copyfile(source.file, target)
