"""A model's history: the log, and what a client that died could no longer write there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.states import Approval
from mlinfra.engine import audit, records
from mlinfra.engine.approval import decision_at, is_about
from mlinfra.engine.audit import Entry
from mlinfra.engine.references import check_model
from mlinfra.engine.versions import versions
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.engine.session import Session

_ARRIVALS = ("register", "copy")
_VERBS = {Approval.APPROVED: "approve", Approval.REJECTED: "reject"}


def history(session: Session, model: str) -> list[Entry]:
    """Who did what to a model and its versions, the oldest first.

    Versions and decisions that the log lacks are told from the registry and the decisions themselves.

    Raises:
        NotFound: nothing was ever done to such a model.
    """
    check_model(model)
    logged = audit.history(session, f"model/{model}")
    entries = [*logged, *_arrivals(session, model, logged), *_decisions(session, model, logged)]
    if not entries:
        raise NotFound(
            "nothing is known of such a model", given=model, todo="`mlinfra model list` shows those there are"
        )
    return sorted(entries, key=lambda entry: entry.time)


def _arrivals(session: Session, model: str, logged: list[Entry]) -> Iterator[Entry]:
    known = {entry.subject for entry in logged if entry.verb in _ARRIVALS}
    for version in versions(session, model):
        if f"model/{version.name}" not in known and version.created is not None:
            details = {"digest": version.digest, "lineage": dict(version.lineage)}
            yield Entry(version.created, version.owner, "register", f"model/{version.name}", details)


def _decisions(session: Session, model: str, logged: list[Entry]) -> Iterator[Entry]:
    known = {entry.details.get("record") for entry in logged}
    for key in records.names(session, f"{records.APPROVALS}/"):
        if key in known or not is_about(key, model):
            continue
        decision = decision_at(session, key)
        if decision is not None:
            subject = f"model/{model}:{decision.version}"
            details = {"record": key, "digest": decision.digest, "note": decision.note}
            yield Entry(decision.time, decision.approver, _VERBS[decision.decision], subject, details)
