"""Where an endpoint's capture records lie, and reading them: one JSON object a line, below a folder for each hour."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date
    from pathlib import Path

    from mlinfra.contract.store import Store
    from mlinfra.engine.session import Session

STORE = "captures"  # the environment's store for them, where it has one of its own
_SUFFIX = ".jsonl"
_DAY = re.compile(r"/(?:date=)?(\d{4}[-/]\d\d[-/]\d\d)/")


def capture_uri(session: Session, endpoint: str) -> str:
    """The address below which an endpoint's servers put their records."""
    return _store(session).uri(_prefix(endpoint))


def captured(session: Session, endpoint: str, *, since: date | None = None) -> Iterator[dict[str, Any] | None]:
    """An endpoint's records from the store, the oldest first; None for a line that cannot be read."""
    store, read = _store(session), session.adapter.observe.capture
    keys = [info.key for info in store.list(f"{_prefix(endpoint)}/")]
    for key in keys:
        if key.endswith(_SUFFIX) and _is_recent(key, since):
            content = store.get(key)
            for record in _records(content.splitlines(keepends=True)):
                yield None if record is None else read(record, key)


def captured_locally(source: Path, *, since: date | None = None) -> Iterator[dict[str, Any] | None]:
    """The records of a file, or of all files below a folder."""
    files = [source] if source.is_file() else sorted(source.rglob(f"*{_SUFFIX}"))
    for path in files:
        if _is_recent(path.as_posix(), since):
            with path.open("rb") as lines:
                yield from _records(lines)


def _records(lines: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
    """The objects on whole lines; a crash may have cut the last one short, which is no fault."""
    for line in lines:
        if line.endswith(b"\n"):
            yield _record(line)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_recent(path: str, since: date | None) -> bool:
    """By the day that the path says, as `date=2026-11-21` or `2026/11/21`; a path without one may hold anything."""
    found = _DAY.search(path)
    return since is None or found is None or found[1].replace("/", "-") >= since.isoformat()


def _store(session: Session) -> Store:
    return session.store(STORE) if STORE in session.environment.stores else session.store()


def _prefix(endpoint: str) -> str:
    return f"captures/{endpoint}"
