"""A job's data: what is brought before it runs, and what is taken away when it has.

In the name of the job's identity. A mount is a folder that was brought, or is taken away: a job that reads all of it
sees no difference, but for what others write meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.azure.jobs import faults
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mlinfra.emulator.azure.jobs.uris import Uris
    from mlinfra.emulator.azure.storage.names import Address
    from mlinfra.emulator.azure.storage.storage import Storage

LITERAL = "literal"
_FILE = "uri_file"
_NOT_FOUND = 404
_DIRECT = {"Direct", "EvalMount", "EvalDownload"}
_MOUNTED = {None, "ReadWriteMount"}


class Binding(NamedTuple):
    """An input or output of a job that is a place: its name, its kind, how it is delivered, and its address."""

    name: str
    type: str
    mode: str | None
    uri: str

    @property
    def direct(self) -> bool:
        """Whether the address itself is handed over."""
        return self.mode in _DIRECT

    @property
    def mounted(self) -> bool:
        """Whether what is written is there at once, whatever becomes of the job."""
        return self.mode in _MOUNTED

    @property
    def is_file(self) -> bool:
        """Whether it is one file."""
        return self.type == _FILE


def inputs(asked: Mapping[str, Any]) -> list[Binding]:
    """The inputs that are places."""
    found = (asked.get("inputs") or {}).items()
    return [
        Binding(name, each["jobInputType"], each.get("mode"), each["uri"])
        for name, each in found
        if each["jobInputType"] != LITERAL
    ]


def literals(asked: Mapping[str, Any]) -> dict[str, str]:
    """The inputs that are values."""
    found = (asked.get("inputs") or {}).items()
    return {name: str(each["value"]) for name, each in found if each["jobInputType"] == LITERAL}


def outputs(asked: Mapping[str, Any]) -> list[Binding]:
    """The outputs."""
    found = (asked.get("outputs") or {}).items()
    return [Binding(name, each["jobOutputType"], each.get("mode"), each["uri"]) for name, each in found]


class Carrier:
    """Carries for one job, in a principal's name."""

    def __init__(self, storage: Storage, uris: Uris, principal: str) -> None:
        self._storage = storage
        self._uris = uris
        self._principal = principal

    def bring(self, binding: Binding, folder: Path) -> Path:
        """Bring an input below a folder. Returns what the job is handed: the folder, or the file in it.

        Raises:
            JobEnd: it is not there, or may not be read.
        """
        try:
            at = self._uris.located(binding.uri)
            if binding.is_file:
                return self._file(at, folder, self._principal)
            self._folder(at, folder, self._principal)
        except Refusal as exc:
            raise faults.no_data(binding.name, exc.message) from exc
        return folder

    def bring_code(self, uri: str, folder: Path, service: str) -> None:
        """Bring the code asset's files into a folder; from the workspace's own account in the name of the `service`.

        Raises:
            JobEnd: it is not there, or may not be read.
        """
        try:
            at = self._uris.located(uri)
            self._folder(at, folder, service if at.account == self._uris.account else self._principal)
        except Refusal as exc:
            raise faults.no_data("the code", exc.message) from exc

    def mount(self, binding: Binding, folder: Path) -> None:
        """Bring what is already at the place of an output that is a mount.

        Raises:
            JobEnd: it may not be read.
        """
        try:
            at = self._uris.located(binding.uri)
            self._fill(at, folder, self._principal)
        except Refusal as exc:
            raise faults.no_data(binding.name, exc.message) from exc

    def take(self, binding: Binding, source: Path) -> None:
        """Take an output away: a file, or all files of a folder.

        Raises:
            JobEnd: nothing may be written there.
        """
        try:
            at = self._uris.located(binding.uri)
            if binding.is_file:
                if source.is_file():
                    self._storage.write(str(at), source, self._principal)
                return
            self.take_folder(at, source)
        except Refusal as exc:
            raise faults.no_data(binding.name, exc.message) from exc

    def take_folder(self, at: Address, source: Path, principal: str | None = None) -> None:
        """Write every file below a folder, in another's name where one is told."""
        who = self._principal if principal is None else principal
        for path in files(source):
            name = f"{at.name.rstrip('/')}/{path.relative_to(source).as_posix()}".lstrip("/")
            self._storage.write(str(at._replace(name=name)), path, who)

    def _file(self, at: Address, folder: Path, principal: str) -> Path:
        path = folder / at.name.rpartition("/")[2]
        folder.mkdir(parents=True, exist_ok=True)
        self._storage.download(str(at), path, principal)
        return path

    def _folder(self, at: Address, folder: Path, principal: str) -> None:
        """Everything below an address; what is exactly there is one file, which the folder then holds."""
        if self._fill(at, folder, principal):
            return
        if not at.name or not self._storage.exists(str(at), principal):
            raise Refusal("NotFound", f"The folder {at} does not exist, or is empty.", status=_NOT_FOUND)
        self._file(at, folder, principal)

    def _fill(self, at: Address, folder: Path, principal: str) -> bool:
        """Bring every blob below an address. Tells whether there are any."""
        folder.mkdir(parents=True, exist_ok=True)
        prefix = f"{at.name.rstrip('/')}/" if at.name else ""
        found = self._storage.list(str(at._replace(name=prefix)), principal)
        for blob in found:
            path = _below(folder, blob.name[len(prefix) :])
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._storage.download(str(at._replace(name=blob.name)), path, principal)
        return bool(found)


def _below(folder: Path, name: str) -> Path | None:
    """Where a blob goes; nowhere if it would leave the folder, or is a folder's own mark."""
    outside = not name or name.endswith("/") or ".." in name.split("/")
    return None if outside else folder / name


def files(folder: Path) -> Iterable[Path]:
    """The files below a folder, in order; links are followed where they lead to files."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
