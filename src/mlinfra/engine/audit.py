"""Who did what when: an append-only log in the environment's store, one object an entry."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlinfra.engine import records

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session


@dataclass(frozen=True)
class Entry:
    """One line of the log. `subject` is a handle's tail: `model/credit-risk:3`, `endpoint/credit-risk`."""

    time: datetime
    who: str
    verb: str
    subject: str
    details: Document


def record(session: Session, verb: str, subject: str, **details: Any) -> None:
    """Append an entry. Never overwrites one."""
    now = session.clock.now()
    entry = {
        "time": now.isoformat(),
        "who": session.caller.principal,
        "verb": verb,
        "subject": subject,
        "details": details,
    }
    records.write(
        session,
        f"kit/log/{_folder(subject)}/{now:%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}.json",
        entry,
        if_absent=True,
    )


def history(session: Session, subject: str) -> list[Entry]:
    """The entries about a subject, the oldest first."""
    found = (records.read(session, key) for key in records.names(session, f"kit/log/{_folder(subject)}/"))
    return [
        Entry(
            datetime.fromisoformat(entry.document["time"]),
            entry.document["who"],
            entry.document["verb"],
            entry.document["subject"],
            entry.document["details"],
        )
        for entry in found
        if entry
    ]


def _folder(subject: str) -> str:
    """Versions of one model share its folder, so that a model's history is one listing."""
    return subject.partition(":")[0]
