"""What this machine knows to lie in an environment's store, so that unchanged content costs no request.

Knowledge ages: a bucket's rules or another machine may remove an object. So it is believed for an hour, and what
turned out to be missing or damaged is doubted until it was sent again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlinfra.errors import CapacityUnavailable
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.engine.session import Session

LIFETIME = timedelta(hours=1)


class Known:
    """One small file an address and digest, below the project's cache; losing it costs a few requests."""

    def __init__(self, session: Session) -> None:
        self._folder = session.folders.cache / "known" / session.environment.suffix
        self._environment = session.environment.id
        self._clock = session.clock

    def size(self, uri: str, digest: str) -> int | None:
        """The bytes that lie there, None where that is not known."""
        document = self._read(uri, digest)
        if document is None or document.get("doubted"):
            return None
        with suppress(KeyError, TypeError, ValueError):
            age = self._clock.now() - datetime.fromisoformat(document["seen"])
            return int(document["size"]) if timedelta(0) <= age < LIFETIME else None
        return None

    def doubted(self, uri: str, digest: str) -> bool:
        """Whether what lies there turned out to be wrong, so that it must be sent again whatever the store says."""
        document = self._read(uri, digest)
        return document is not None and bool(document.get("doubted"))

    def add(self, uri: str, digest: str, size: int) -> None:
        """Note that it was seen there just now."""
        self._write(uri, digest, {"seen": self._clock.now().isoformat(), "size": size})

    def doubt(self, uri: str, digest: str) -> None:
        """Note that what lies there is missing or damaged."""
        self._write(uri, digest, {"doubted": True})

    def _read(self, uri: str, digest: str) -> dict[str, str] | None:
        try:
            document = json.loads(self._path(uri, digest).read_bytes())
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def _write(self, uri: str, digest: str, document: dict[str, object]) -> None:
        with suppress(OSError, CapacityUnavailable), new_file(self._path(uri, digest)) as file:
            file.write(json.dumps(document).encode())

    def _path(self, uri: str, digest: str) -> Path:
        name = hashlib.sha256(f"{self._environment}\n{uri}\n{digest}".encode()).hexdigest()
        return self._folder / f"{name[:32]}.json"
