"""Model packages on their way into a registry and out of it: read and compared with their digests, never loaded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mlinfra
from mlinfra.contract.jobs import Artefact
from mlinfra.engine.fetching import brought
from mlinfra.engine.listing import Entry, check_paths
from mlinfra.engine.transfer import Item, download_tree, local_item, upload_items
from mlinfra.errors import CapabilityError, CapacityUnavailable, Conflict, IntegrityError, NotFound
from mlinfra.modelkit import MANIFEST_NAME, Manifest, describe
from mlinfra.package import tree_digest
from mlinfra.package.atomic import new_file
from mlinfra.package.statcache import changed_meanwhile, sha256_of_each
from mlinfra.package.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

LARGEST_MANIFEST = 16_000_000  # bytes; the largest honest ones list ten thousand files


@dataclass(frozen=True)
class Package:
    """A model package somewhere. `digest` means the same model everywhere; `text` is the manifest's.

    `files` yields everything but the manifest as items to send.
    """

    manifest: Manifest
    digest: str
    text: bytes
    files: Callable[[], list[Item]]

    def as_document(self) -> Document:
        """The manifest as it lies beside the files."""
        document: Document = json.loads(self.text)
        return document

    def items(self) -> list[Item]:
        """Everything that makes the package, manifest included."""
        entry = Entry(hashlib.sha256(self.text).hexdigest(), len(self.text))
        return [*self.files(), Item(MANIFEST_NAME, entry, lambda: nullcontext(self.text))]


def models_prefix(digest: str) -> str:
    """Where in the store a package of that digest lies."""
    return f"models/{digest.removeprefix('sha256:')}"


def local_package(session: Session, path: Path) -> Package:
    """A package on this machine: a folder that `save_model` wrote, or another tool's model file or folder.

    What was verified once is not read again until it changes.

    Raises:
        NotFound, SpecError: there is no model.
        IntegrityError: a file is not the one that was saved.
    """
    if not path.exists():
        describe(path)  # says what there might be
    cache = session.folders.cache
    kept = _kept(path, cache)
    with suppress(OSError, IntegrityError):
        return _packed(kept.read_bytes(), path, cache)
    text = _verified(path)
    with suppress(OSError, CapacityUnavailable), new_file(kept) as file:
        file.write(text)
    return _packed(text, path, cache)


def stored_package(session: Session, prefix: str) -> Package:
    """A package in the environment's store. Its files are compared with the manifest as they are fetched.

    Raises:
        NotFound: there is no manifest below the prefix.
        IntegrityError: the manifest is not what was written.
    """
    store = session.store()
    key = f"{prefix}/{MANIFEST_NAME}"
    info = store.head(key)
    if info is None:
        raise NotFound("there is no model package at this address", given=store.uri(prefix))
    if info.size > LARGEST_MANIFEST:
        raise IntegrityError("this is no model manifest", given=f"{info.size:,} bytes", allowed=f"{LARGEST_MANIFEST:,}")
    text = store.get(key)
    manifest, digest = read_manifest(text, origin=store.uri(key))
    return Package(manifest, digest, text, lambda: _stored_files(session, prefix, manifest))


def read_manifest(text: bytes, *, origin: str) -> tuple[Manifest, str]:
    """The manifest in a text, and the digest that it bears; `origin` names the text in errors.

    Raises:
        IntegrityError: it is damaged, was changed, or names files outside its folder.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise IntegrityError("the model manifest is not JSON", given=origin) from exc
    manifest = Manifest.from_document(document)
    check_paths(manifest.files)
    return manifest, str(document["digest"])


def send_package(session: Session, package: Package, *, remembered: bool = False) -> Artefact:
    """Bring a package to its place in the environment's store, unless it lies there whole.

    The store is asked each time, unless what this machine remembers is known to hold.
    """
    return upload_items(session, models_prefix(package.digest), package.digest, package.items, remembered=remembered)


def verify_package(folder: Path, digest: str) -> None:
    """Compare a fetched package with the digest that it was asked for by.

    Raises:
        IntegrityError: it is another model, or not whole.
    """
    manifest = Manifest.read(folder)
    if manifest.digest != digest:
        raise IntegrityError("this is another model than the one asked for", given=manifest.digest, allowed=digest)
    manifest.verify(folder)


def package_of(session: Session, version: VersionObservation) -> Package:
    """A version's package in the environment's store; its manifest is the one that the digest names.

    Raises:
        CapabilityError: another tool registered the version, and the kit cannot read it.
        IntegrityError: another package lies at the version's address, or none any more.
    """
    try:
        package = stored_package(session, place_of(session, version))
    except NotFound as exc:
        raise IntegrityError("the version's package is gone from the store", given=version.name) from exc
    if package.digest != version.digest:
        raise IntegrityError(
            "another package lies at the version's address", given=package.digest, allowed=version.digest
        )
    return package


def fetch_package(session: Session, version: VersionObservation, target: Path) -> Path:
    """Fetch a version's package into a folder, which appears whole and verified, or not at all.

    Raises:
        CapabilityError: another tool registered the version, and the kit cannot read it.
        IntegrityError: the bytes are not those that were registered.
        Conflict: `target` exists and is not an empty folder.
        CapacityUnavailable: the disk is full; nothing is left of it.
    """
    artefact = Artefact(session.store().uri(place_of(session, version)), version.digest, is_folder=True)
    return download_tree(session, artefact, target, verify=lambda folder: verify_package(folder, version.digest))


def package_at_hand(session: Session, version: VersionObservation) -> Path:
    """A version's package in the project's cache: fetched once, verified each time. Raises as `fetch_package`."""
    folder = session.folders.cache / "packages" / version.digest.removeprefix("sha256:")
    if folder.is_dir():
        with suppress(IntegrityError, NotFound):
            verify_package(folder, version.digest)
            return folder
        shutil.rmtree(folder)
    with suppress(Conflict):  # another process fetched the same meanwhile
        fetch_package(session, version, folder)
    return folder


def place_of(session: Session, version: VersionObservation) -> str:
    """The prefix in the store below which a version's package lies.

    Raises:
        CapabilityError: another tool registered the version, and the kit cannot read it.
    """
    if version.artefact is None or not version.digest:
        raise CapabilityError(
            f"{version.name} was registered by another tool; the kit knows neither its bytes nor their digest",
            given=version.native_id,
            todo="register its model file with `mlinfra model register`",
        )
    return session.store().key(version.artefact.uri).rstrip("/")


def _kept(path: Path, cache: Path) -> Path:
    """Where the manifest is remembered with which exactly these bytes were compared."""
    about = [tree_digest(path, cache).digest, path.name if path.is_file() else "", mlinfra.__version__]
    return cache / "manifests" / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()}.json"


def _verified(path: Path) -> bytes:
    """The text of the manifest at a path, or of the one that another tool's model would have; all bytes compared."""
    manifest = describe(path)
    place = path / MANIFEST_NAME
    if not place.is_file():
        return json.dumps(manifest.as_document(), indent=2).encode()
    check_paths(manifest.files)
    manifest.verify(path)
    return place.read_bytes()


def _packed(text: bytes, path: Path, cache: Path) -> Package:
    manifest, digest = read_manifest(text, origin=str(path))
    return Package(manifest, digest, text, lambda: _local_files(path, manifest, cache))


def _local_files(path: Path, manifest: Manifest, cache: Path) -> list[Item]:
    files = walk(path)
    hashes = sha256_of_each(files, os.path.realpath(path), cache)
    found = {file.path or path.name: (file, sha256.hex()) for file, sha256 in zip(files, hashes, strict=True)}
    items = []
    for name, expected in manifest.files.items():
        file, sha256 = found.get(name, (None, ""))
        if file is None or sha256 != expected.sha256:
            raise changed_meanwhile(str(path / name))
        items.append(local_item(file._replace(path=name), Entry(expected.sha256, expected.size)))
    return items


def _stored_files(session: Session, prefix: str, manifest: Manifest) -> list[Item]:
    return [
        _stored_item(session, prefix, name, Entry(expected.sha256, expected.size))
        for name, expected in manifest.files.items()
    ]


def _stored_item(session: Session, prefix: str, name: str, entry: Entry) -> Item:
    @contextmanager
    def content() -> Iterator[Path]:
        with brought(session, f"{prefix}/{name}", entry) as path:
            yield path

    return Item(name, entry, content)
