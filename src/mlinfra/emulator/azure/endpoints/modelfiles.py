"""A model's files on their way from blob storage to a deployment, as the service's storage initializer brings them.

After the guides "Use a custom container to deploy a model to an online endpoint" and "Specify model to deploy": what
lies below the model's path is mounted with the last part of that path. Why a model cannot be downloaded is told in the
words of the troubleshooting guide, "Unable to download user model" and "Authorization error".
"""

from __future__ import annotations

import shutil
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.emulator.azure.jobs.uris import Uris
from mlinfra.emulator.azure.names import ML, kind_of, own, owner_of, parent
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.emulator.azure.emulator import AzureEmulator

_DENIED = (
    "Startup task failed due to authorization error: the endpoint's identity may not read the model's files at {uri}. "
    "Grant it Storage Blob Data Reader."
)
_MISSING = "Unable to download user model: there are no files at {uri}."


class Source(NamedTuple):
    """A registered version and where its files are."""

    name: str
    version: str
    uri: str  # in blob storage


class ModelFiles:
    """Finds models and brings their files."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator

    def find(self, model: str) -> Source:
        """The version that a deployment's `model` names by its resource id.

        Raises:
            Refusal: there is none; or its address leads nowhere in blob storage.
        """
        version = self._emulator.assets.version(self._emulator.arm.routes.resource_id(model))
        uri = self.located(version.properties["modelUri"], version.id)
        return Source(own(parent(version.id)), own(version.id), uri)

    def located(self, uri: str, asset: str) -> str:
        """Where the address of a model or of data leads in blob storage, without a slash at its end.

        `asset` is the version's id: datastores are those of its workspace.

        Raises:
            Refusal: nowhere there.
        """
        shared = kind_of(owner_of(asset)).lower() != f"{ML}/workspaces".lower()  # a registry's
        workspace = self._emulator.workspaces.get(self._emulator.place.workspace_id if shared else asset)
        return str(Uris(self._emulator, workspace).located(uri)).rstrip("/")

    def bring(self, source: Source, folder: Path, principal: str) -> None:
        """Put a version's files into a folder, which is made anew. `principal` is the object id that reads them.

        Raises:
            Refusal: they may not be read, or there are none.
        """
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            found = self._files(source.uri, principal)
            for uri, name in found:
                target = folder / _inside(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                self._emulator.storage.download(uri, target, principal)
        except Refusal as exc:
            words = _DENIED if exc.status in {401, 403} else _MISSING
            raise refusals.refusal("BadArgument", words.format(uri=source.uri)) from exc
        if not found:
            raise refusals.refusal("BadArgument", _MISSING.format(uri=source.uri))

    def _files(self, uri: str, principal: str) -> list[tuple[str, str]]:
        """The addresses of all files of a path, with their names from the path's last part on."""
        storage = self._emulator.storage
        base, _, last = uri.rpartition("/")
        prefix = "/".join(uri.split("/")[4:-1])  # in the container, without the last part
        found = []
        for blob in storage.list(f"{uri}/", principal):
            name = blob.name.removeprefix(f"{prefix}/")
            found.append((f"{base}/{name}", name))
        if not found and storage.exists(uri, principal):
            found.append((uri, last))
        return [each for each in found if not each[1].endswith("/")]


def _inside(name: str) -> PurePosixPath:
    """A blob's name as a path that stays in its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise refusals.refusal("BadArgument", f"Unable to download user model: {name} has no place in a folder.")
    return path
