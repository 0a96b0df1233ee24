"""Who may let a version serve: decisions as objects that only approvers may write, in the environment's own store.

A decision names who took it as the platform's token does. The platform's own mark is set too, and never believed.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.models import Marks
from mlinfra.contract.states import Approval
from mlinfra.engine import audit, records
from mlinfra.engine.marks import alone, mark
from mlinfra.engine.uses import registrant
from mlinfra.engine.versions import resolve
from mlinfra.errors import Denied, IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.contract.store import Store
    from mlinfra.engine.session import Session

_DECISIONS = (Approval.APPROVED, Approval.REJECTED)
_LONGEST_NOTE = 2_000  # characters


@dataclass(frozen=True)
class Decision:
    """One decision about one version. `approver` is the principal as the platform knows it."""

    key: str
    model: str
    version: str
    digest: str
    decision: Approval
    approver: str
    account: str
    time: datetime
    note: str = ""


@dataclass(frozen=True)
class Standing:
    """Whether a version may serve where approval is asked for, and why. `decisions` are the oldest first."""

    approved: bool
    reason: str
    registrants: tuple[str, ...]
    decisions: tuple[Decision, ...]


def approve(session: Session, reference: str, *, decision: Approval = Approval.APPROVED, note: str = "") -> Decision:
    """Approve or reject a version, in the caller's name. Safe to repeat: the same word again is the same decision.

    Raises:
        UsageError: neither an approval nor a rejection.
        NotFound: there is no such version.
        Denied: the caller may not decide here.
    """
    if decision not in _DECISIONS or len(note) > _LONGEST_NOTE:
        allowed = f"{' or '.join(_DECISIONS)}, with a note of at most {_LONGEST_NOTE:,} characters"
        raise UsageError("not a decision", given=decision, allowed=allowed)
    version = resolve(session, reference)
    _refuse_unknown_bytes(version)
    earlier = decisions(session, version)
    caller = session.caller
    if earlier and (earlier[-1].approver, earlier[-1].decision, earlier[-1].note) == (caller.principal, decision, note):
        session.say(f"{version.name}: {caller.principal} said so already")
        taken = earlier[-1]
    else:
        taken = _record(session, version, decision, note)
    if decision is Approval.APPROVED and _same(caller.principal, _registrants(session, version)):
        session.say(
            f"{caller.principal} registered {version.name}; where approval is asked for, somebody else must too"
        )
    _set_native_mark(session, version, decision)
    return taken


def decisions(session: Session, version: VersionObservation) -> list[Decision]:
    """Every decision about a version, the oldest first by the store's clock: approvers' own clocks may differ.

    Raises:
        IntegrityError: a record is not readable, or does not fit its name.
    """
    if not version.digest:
        return []
    prefix = f"{_folder(version)}{version.model}-"
    written = {info.key: info.modified for info in _store(session).list(prefix)}
    found = [_read(session, key) for key in written if is_about(key, version.model)]
    about = [each for each in found if each is not None and each.version == version.version]
    return sorted(about, key=lambda each: (written[each.key], each.time, each.decision is Approval.REJECTED))


def standing(session: Session, version: VersionObservation) -> Standing:
    """Whether a version may serve where approval is asked for.

    It may when somebody other than its registrant approved it after the last rejection, if there was one.
    """
    taken = decisions(session, version)
    registrants = _registrants(session, version)
    since = [index for index, each in enumerate(taken) if each.decision is Approval.REJECTED]
    newest = taken[since[-1] + 1 :] if since else taken
    others = [each for each in newest if not _same(each.approver, registrants)]
    if not version.digest:
        approved, reason = False, "registered by another tool, so that nobody knows its bytes"
    elif not registrants:
        approved, reason = False, "nobody knows who registered it, so nobody can be said to be another"
    elif others:
        approved, reason = True, f"approved by {others[-1].approver}"
    elif newest:
        approved, reason = False, f"approved by {newest[-1].approver} alone, who registered it"
    elif since:
        last = taken[since[-1]]
        approved, reason = False, f"rejected by {last.approver}" + (f": {last.note}" if last.note else "")
    else:
        approved, reason = False, "approved by nobody"
    return Standing(approved, reason, registrants, tuple(taken))


def require_approved(session: Session, version: VersionObservation) -> None:
    """Nothing where the environment asks for no approval, or the version has one.

    Raises:
        Denied: nobody but its registrant approved it, or it was rejected.
    """
    if not session.environment.needs_approval:
        return
    found = standing(session, version)
    if found.approved:
        return
    environment = session.environment
    raise Denied(
        f"{version.name} may not serve in {environment.name}: {found.reason}",
        given=f"registered by {' and '.join(found.registrants) or 'somebody unknown'}",
        allowed=f"in stage {environment.stage}, a version that somebody other than its registrant approved",
        todo=f"let somebody else run `mlinfra model approve {version.name} -e {environment.name}`",
    )


def is_about(key: str, model: str) -> bool:
    """Whether the key of a decision is about that model, and not about one whose name merely begins like it."""
    return re.fullmatch(rf"{records.APPROVALS}/[0-9a-f]+/{re.escape(model)}-\d{{8}}T[^/]*\.json", key) is not None


def decision_at(session: Session, key: str) -> Decision | None:
    """The decision at a key, None where it is gone."""
    return _read(session, key)


def _record(session: Session, version: VersionObservation, decision: Approval, note: str) -> Decision:
    now = session.clock.now()
    caller = session.caller
    document: Document = {
        "version": 1,
        "model": version.model,
        "model_version": version.version,
        "digest": version.digest,
        "decision": decision.value,
        "approver": caller.principal,
        "account": caller.account,
        "registrants": list(_registrants(session, version)),
        "time": now.isoformat(),
        "note": note,
    }
    key = f"{_folder(version)}{version.model}-{now:%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}.json"
    records.write(session, key, document, if_absent=True)
    _log(session, version, decision, key)
    return _decision(key, document)


def _log(session: Session, version: VersionObservation, decision: Approval, key: str) -> None:
    verb = "approve" if decision is Approval.APPROVED else "reject"
    try:
        audit.record(session, verb, f"model/{version.name}", record=key, digest=version.digest)
    except Denied as exc:  # an approver may be allowed to write decisions and nothing else
        session.say(f"the decision stands, but not in the log: {exc.what}")


def _set_native_mark(session: Session, version: VersionObservation, decision: Approval) -> None:
    """Tell the platform too. Whoever may decide need not be allowed to, and the decision does not hang on it."""
    if support(session.adapter.capabilities, Capability.MODEL_APPROVAL).level is Level.ABSENT:
        return
    if version.approval is decision:
        return
    try:
        with alone(session, version.model) as held:
            mark(session, held, version, Marks(approval=decision), lambda one, _: one.approval is decision)
    except Denied as exc:
        session.say(f"the decision stands; the platform's own mark was not set: {exc.what}")


def _store(session: Session) -> Store:
    """Where `records` keeps decisions."""
    apart = records.APPROVALS in session.environment.stores
    return session.store(records.APPROVALS) if apart else session.store()


def _read(session: Session, key: str) -> Decision | None:
    record = records.read(session, key)
    return _decision(key, record.document) if record else None


def _decision(key: str, document: Document) -> Decision:
    try:
        decision = Decision(
            key=key,
            model=document["model"],
            version=document["model_version"],
            digest=document["digest"],
            decision=Approval(document["decision"]),
            approver=document["approver"],
            account=document["account"],
            time=datetime.fromisoformat(document["time"]),
            note=document["note"],
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise IntegrityError("a decision in the store is not readable", given=key) from exc
    if not is_about(key, decision.model) or key.split("/")[1] != decision.digest.removeprefix("sha256:"):
        raise IntegrityError("a decision lies under the name of another version", given=key)
    return decision


def _registrants(session: Session, version: VersionObservation) -> tuple[str, ...]:
    """Who registered the version, by the registry and by the kit's own record: either may have been edited."""
    recorded = registrant(session, version.digest, version.model) if version.digest else ""
    return tuple(dict.fromkeys(name for name in (version.owner, recorded) if name))


def _same(approver: str, registrants: Sequence[str]) -> bool:
    return approver.casefold() in {name.casefold() for name in registrants}


def _refuse_unknown_bytes(version: VersionObservation) -> None:
    if not version.digest:
        raise UsageError(
            f"{version.name} was registered by another tool; without a digest nobody can say what is approved",
            given=version.native_id,
            todo="register its model file with `mlinfra model register`",
        )


def _folder(version: VersionObservation) -> str:
    return f"{records.APPROVALS}/{version.digest.removeprefix('sha256:')}/"
