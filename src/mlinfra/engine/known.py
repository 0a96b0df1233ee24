"""What this machine knows to lie in an environment's store, so that unchanged content costs no request.

Knowledge ages: a bucket's rules or another machine may remove an object. So it is believed for an hour, and what
turned out to be missing or damaged is doubted until it was sent again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapacityUnavailable
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.engine.session import Session

LIFETIME = timedelta(hours=1)


class Known:
    """One small file an address, below the project's cache; losing it costs a few requests."""

    def __init__(self, session: Session) -> None:
        self._folder = session.folders.cache / "known" / session.environment.suffix
        self._environment = session.environment.id
        self._clock = session.clock

    def size(self, uri: str, digest: str) -> int | None:
        """The bytes of what `digest` names, None where it is not known to lie there."""
        document = self._read(uri)
        with suppress(KeyError, TypeError, ValueError):
            age = self._clock.now() - datetime.fromisoformat(document["seen"])
            if document["digest"] == digest and timedelta(0) <= age < LIFETIME:
                return int(document["size"])
        return None

    def doubted(self, uri: str) -> bool:
        """Whether what lies there turned out to be wrong, so that it must be sent again whatever the store says."""
        return bool(self._read(uri).get("doubted"))

    def add(self, uri: str, digest: str, size: int) -> None:
        """Note that it was seen there just now."""
        self._write(uri, {"digest": digest, "seen": self._clock.now().isoformat(), "size": size})

    def doubt(self, uri: str) -> None:
        """Note that what lies there is missing or damaged."""
        self._write(uri, {"doubted": True})

    def _read(self, uri: str) -> dict[str, Any]:
        try:
            document = json.loads(self._path(uri).read_bytes())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _write(self, uri: str, document: dict[str, object]) -> None:
        with suppress(OSError, CapacityUnavailable), new_file(self._path(uri)) as file:
            file.write(json.dumps(document).encode())

    def _path(self, uri: str) -> Path:
        name = hashlib.sha256(f"{self._environment}\n{uri}".encode()).hexdigest()
        return self._folder / f"{name[:32]}.json"
