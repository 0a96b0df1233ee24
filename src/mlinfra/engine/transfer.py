"""Bytes between this machine and the environment's store: named by their content, sent once, verified when read.

A folder's files lie directly below its prefix, since platforms hand that prefix to the user's code as it is. What
tells that the folder is complete, the listing of its digests, therefore lies elsewhere: below `kit/complete/`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import Artefact
from mlinfra.engine.fetching import fetch_into, new_target
from mlinfra.engine.known import Known
from mlinfra.engine.listing import Entry, Listing, check_paths
from mlinfra.engine.parallel import each
from mlinfra.errors import IntegrityError, MlinfraError, NotFound, SpecError
from mlinfra.modelkit.manifest import digest_file
from mlinfra.package import tree_digest
from mlinfra.package.statcache import changed_meanwhile, sha256_of_each
from mlinfra.package.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mlinfra.contract.store import ObjectInfo, Store
    from mlinfra.engine.session import Session
    from mlinfra.package.walk import File

COMPLETE = "kit/complete"
_SHA256 = "sha256"  # the metadata of an object that tells its digest
_EXECUTABLE = "executable"


@dataclass(frozen=True)
class Item:
    """One object to be: its path below the prefix, what it holds, and how to get at its bytes."""

    path: str
    entry: Entry
    content: Callable[[], AbstractContextManager[Path | bytes]]


def upload_file(session: Session, path: Path, key: str, digest: str) -> Artefact:
    """Send a file to a key that its digest is part of, unless it lies there already.

    Raises:
        NotFound: there is no such file here.
        Conflict: the file is not what `digest` names, or changed while it was sent.
    """
    if not path.is_file():
        raise NotFound("no such file", given=str(path), todo="check the path")
    store = session.store()
    known = Known(session)
    artefact = Artefact(store.uri(key), digest, path.stat().st_size)
    if known.size(artefact.uri, digest) is None:
        session.verify_account()
        item = Item(
            path.name, Entry(digest.removeprefix("sha256:"), artefact.size), lambda: _unchanged_file(path, digest)
        )
        present = None if known.doubted(artefact.uri) else store.head(key)
        _send(store, key, item, present)
        known.add(artefact.uri, digest, artefact.size)
    return artefact


def upload_tree(session: Session, folder: Path, prefix: str, digest: str) -> Artefact:
    """Send a folder to a prefix that its digest, as `tree_digest` gives it, is part of.

    Safe to repeat and to kill: what lies there already is not sent again, and the listing is written last. A single
    file in place of the folder becomes one object below the prefix.

    Raises:
        SpecError: there is nothing in the folder, or what cannot be sent.
        Conflict: the folder is not what `digest` names, or changed while it was sent.
    """
    if folder.is_file():
        return upload_file(session, folder, f"{prefix}/{folder.name}", digest)
    return upload_items(session, prefix, digest, lambda: _local_items(session, folder, digest))


def upload_items(
    session: Session, prefix: str, digest: str, items: Callable[[], Sequence[Item]], *, remembered: bool = True
) -> Artefact:
    """Send what `items` yields, unless the listing and all that it names are there; `items` is asked only then.

    With `remembered`, what this machine saw there within the last hour is not looked for again.

    Raises:
        IntegrityError: a source gave other bytes than promised; the listing is not written.
    """
    store = session.store()
    known = Known(session)
    uri = store.uri(prefix)
    size = known.size(uri, digest) if remembered else None
    if size is None:
        session.verify_account()
        size = _send_missing(session, prefix, digest, items, trusted=not known.doubted(uri))
        known.add(uri, digest, size)
    return Artefact(uri, digest, size, is_folder=True)


def read_listing(session: Session, prefix: str) -> Listing | None:
    """The listing of a complete tree, None where none was written.

    Raises:
        IntegrityError: it is damaged.
    """
    store = session.store()
    key = listing_key(prefix)
    try:
        content = store.get(key)
    except NotFound:
        return None
    return Listing.loads(content, origin=store.uri(key))


def listing_key(prefix: str) -> str:
    """Where the listing of the tree below `prefix` lies."""
    return f"{COMPLETE}/{prefix}.json"


def download_tree(
    session: Session, artefact: Artefact | str, target: Path, *, verify: Callable[[Path], None] | None = None
) -> Path:
    """Fetch what lies at an address, or below a key of the store, into a folder that appears whole or not at all.

    Every file is compared with the digest in the tree's listing; without a listing, as for what a job wrote, the
    whole is compared with the artefact's digest if it has one. `verify` sees the folder before it appears and may
    refuse it. A single object becomes the folder's only file.

    Raises:
        NotFound: nothing lies there.
        IntegrityError: bytes are not those that were sent.
        Conflict: `target` exists and is not an empty folder.
        CapacityUnavailable: the disk is full; nothing is left of it.
    """
    store = session.store()
    if isinstance(artefact, str):
        artefact = Artefact(store.uri(artefact), is_folder=True)
    try:
        return _download(session, artefact, target, verify)
    except (IntegrityError, NotFound):
        doubt(session, artefact.uri)
        raise


def doubt(session: Session, uri: str) -> None:
    """Take note that what lies at an address is missing or damaged: the next upload from here sends it again."""
    Known(session).doubt(uri)


def _download(session: Session, artefact: Artefact, target: Path, verify: Callable[[Path], None] | None) -> Path:
    prefix = session.store().key(artefact.uri).rstrip("/")
    listing = read_listing(session, prefix) if artefact.is_folder else None
    files = _files_at(session, artefact, prefix, listing)
    with new_target(target) as draft:

        def fetch(path: str) -> int:
            return fetch_into(session, draft, path, *files[path])

        each(session, f"fetching {prefix}", list(files), fetch)
        _verify_whole(draft, artefact, listing)
        if verify is not None:
            verify(draft)
    return target


def _send_missing(
    session: Session, prefix: str, digest: str, items: Callable[[], Sequence[Item]], *, trusted: bool
) -> int:
    """Bring the tree to completeness and return its size. `trusted`: what the store says is there counts."""
    store = session.store()
    listing = _readable_listing(session, prefix) if trusted else None
    present: dict[str, ObjectInfo] = {}
    if trusted:
        present = {info.key: info for info in store.list(f"{prefix}/")}
    if listing is not None and listing.digest == digest and _all_there(listing, prefix, present):
        return listing.size
    parts = items()
    check_paths({item.path: item for item in parts})

    def send(item: Item) -> int:
        key = f"{prefix}/{item.path}"
        return _send(store, key, item, present.get(key))

    each(session, f"sending {prefix}", parts, send)
    listing = Listing(digest, {item.path: item.entry for item in parts})
    store.put(listing_key(prefix), listing.dumps())
    return listing.size


def _readable_listing(session: Session, prefix: str) -> Listing | None:
    """A listing for a sender, who can write a damaged one anew."""
    try:
        return read_listing(session, prefix)
    except IntegrityError:
        return None


def _all_there(listing: Listing, prefix: str, present: dict[str, ObjectInfo]) -> bool:
    sizes = {key.removeprefix(f"{prefix}/"): info.size for key, info in present.items()}
    return all(sizes.get(path) == entry.size for path, entry in listing.files.items())


def _send(store: Store, key: str, item: Item, present: ObjectInfo | None) -> int:
    """Put one object, unless it is there; returns the bytes sent. A source that proves false leaves no object."""
    if present is not None and _holds(store, present, item.entry):
        return 0
    info: ObjectInfo | None = None
    try:
        with item.content() as content:
            info = store.put(key, content, metadata=_metadata(item.entry))
    except MlinfraError:
        if info is not None:
            store.delete(key)
        raise
    if info.size != item.entry.size:
        store.delete(key)
        given = f"{store.uri(key)}: {info.size} bytes"
        raise IntegrityError("the store kept something else than was sent", given=given, allowed=f"{item.entry.size}")
    return info.size


def _metadata(entry: Entry) -> dict[str, str]:
    """What travels with an object, so that whoever finds it can tell what it holds."""
    digest = {_SHA256: entry.sha256}
    return {**digest, _EXECUTABLE: "true"} if entry.executable else digest


def _holds(store: Store, present: ObjectInfo, entry: Entry) -> bool:
    """Whether an object is the one meant. Listings may leave metadata out, so the object itself is asked."""
    if present.size != entry.size:
        return False
    info = present if present.metadata else store.head(present.key)
    return info is not None and info.metadata.get(_SHA256) == entry.sha256


def _local_items(session: Session, folder: Path, digest: str) -> list[Item]:
    files = walk(folder)
    if not files:
        raise SpecError("the folder holds no file", given=str(folder), todo="check the path")
    cache = session.folders.cache
    hashes = sha256_of_each(files, os.path.realpath(folder), cache)
    if tree_digest(folder, cache).digest != digest:
        raise changed_meanwhile(str(folder))
    entries = (Entry(sha256.hex(), file.size, file.executable) for file, sha256 in zip(files, hashes, strict=True))
    return [local_item(file, entry) for file, entry in zip(files, entries, strict=True)]


def local_item(file: File, entry: Entry) -> Item:
    """A file of this machine as an item; one that changes while it is sent is a Conflict."""

    @contextmanager
    def content() -> Iterator[Path]:
        _refuse_changed(file)
        yield Path(file.source)
        _refuse_changed(file)

    return Item(file.path, entry, content)


@contextmanager
def _unchanged_file(path: Path, digest: str) -> Iterator[Path]:
    (file,) = walk(path)
    if digest_file(path).sha256 != digest.removeprefix("sha256:"):
        raise changed_meanwhile(str(path))
    yield path
    _refuse_changed(file)


def _refuse_changed(file: File) -> None:
    try:
        about = Path(file.source).stat()
    except OSError as exc:
        raise changed_meanwhile(file.source) from exc
    if (about.st_size, about.st_mtime_ns, about.st_ino) != (file.size, file.mtime_ns, file.inode):
        raise changed_meanwhile(file.source)


def _files_at(
    session: Session, artefact: Artefact, prefix: str, listing: Listing | None
) -> dict[str, tuple[str, Entry | None]]:
    """Path in the folder -> the object's key, and what it must hold where that is known."""
    store = session.store()
    if not artefact.is_folder:
        sha256 = artefact.digest.removeprefix("sha256:")
        info = store.head(prefix)
        found = {prefix.rpartition("/")[2]: (prefix, Entry(sha256, info.size) if sha256 else None)} if info else {}
    elif listing is not None:
        found = {path: (f"{prefix}/{path}", entry) for path, entry in listing.files.items()}
    else:
        keys = [info.key for info in store.list(f"{prefix}/")]
        found = {key.removeprefix(f"{prefix}/"): (key, None) for key in keys if not key.endswith("/")}
    if not found:
        raise NotFound("there is nothing at this address", given=artefact.uri)
    if listing is not None and artefact.digest and listing.digest != artefact.digest:
        raise IntegrityError("another tree lies at this address", given=listing.digest, allowed=artefact.digest)
    check_paths(found)
    return found


def _verify_whole(folder: Path, artefact: Artefact, listing: Listing | None) -> None:
    """Compare what came without a listing with the digest of the whole."""
    if listing is not None or not artefact.digest or not artefact.is_folder:
        return
    found = tree_digest(folder).digest
    if found != artefact.digest:
        raise IntegrityError("these are not the bytes that were written", given=found, allowed=artefact.digest)
