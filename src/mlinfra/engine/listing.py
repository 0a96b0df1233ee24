"""What lies below a prefix of the store: every file with its digest, written down once all of them are there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import IntegrityError
from mlinfra.modelkit.manifest import is_inside

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1


class Entry(NamedTuple):
    """One file. `sha256` in hex, `size` in bytes; object stores keep no modes, so `executable` is kept here."""

    sha256: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class Listing:
    """The files of a tree by their path from its root. `digest` is the one by which the whole is known."""

    digest: str
    files: Mapping[str, Entry]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(entry.size for entry in self.files.values())

    def dumps(self) -> bytes:
        """The listing as it lies in the store."""
        files = {path: _as_document(entry) for path, entry in sorted(self.files.items())}
        return json.dumps({"version": VERSION, "digest": self.digest, "files": files}, separators=(",", ":")).encode()

    @classmethod
    def loads(cls, content: bytes, *, origin: str) -> Listing:
        """The listing that `dumps` wrote. `origin` says in errors where it came from.

        Raises:
            IntegrityError: it is damaged.
        """
        try:
            document = json.loads(content)
            files = {path: _from_document(entry) for path, entry in document["files"].items()}
            return cls(str(document["digest"]), files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise IntegrityError("a listing in the store is not readable", given=origin) from exc


def check_paths(paths: Mapping[str, Any]) -> None:
    """Refuse paths that would leave the folder they are meant for.

    Raises:
        IntegrityError: names the first such path.
    """
    strange = next((path for path in paths if not is_inside(path)), None)
    if strange is not None:
        raise IntegrityError("a path leads out of its folder", given=strange, allowed="paths below the folder itself")


def _as_document(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {"sha256": entry.sha256, "size": entry.size}
    return {**document, "executable": True} if entry.executable else document


def _from_document(document: Mapping[str, Any]) -> Entry:
    return Entry(str(document["sha256"]), int(document["size"]), bool(document.get("executable")))
