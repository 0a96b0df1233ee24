"""Captured questions asked again, and the answers compared bit for bit."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.engine.captures import captured, captured_locally
from mlinfra.engine.endpoints import deployment_of, find
from mlinfra.engine.invoke import ask, body_of, predictions_of
from mlinfra.engine.rollout_records import Ledger
from mlinfra.engine.targeting import out_of_reach
from mlinfra.errors import InputRejected, InvocationFailed

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.engine.session import Session

_MOST_DIFFERENCES = 1000  # kept in full; the rest are counted


@dataclass(frozen=True)
class Difference:
    """A record that is answered differently now. `reason` where there is an error in place of an answer."""

    id: str
    time: str
    captured: Any
    answered: Any = None
    reason: str = ""


@dataclass
class Replay:
    """What came of a replay. `passed_over` counts, by reason, records that cannot be asked again."""

    asked: int = 0
    same: int = 0
    differences: list[Difference] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def different(self) -> int:
        """How many were answered differently, kept in full or not."""
        return self.asked - self.same


def replay(
    session: Session,
    name: str,
    *,
    source: Path | None = None,
    deployment: str | None = None,
    since: date | None = None,
    limit: int | None = None,
) -> Replay:
    """Ask an endpoint, or one deployment of it, again what was captured, and compare. Changes nothing.

    Records come from the environment's store, or from the file or folder `source`. Without `deployment` each one goes
    to a deployment of the model that answered it then; where none serves any more, it is passed over.

    Raises:
        NotFound: there is no such endpoint or deployment.
        CapabilityError: the platform cannot ask one deployment.
        TemporaryError: no answer after all tries.
    """
    endpoint = find(session, name)
    if deployment is not None:
        deployment_of(session, endpoint, deployment)
    records = captured_locally(source, since=since) if source else captured(session, name, since=since)
    recorded = _recorded(session, endpoint)
    serving = {each.name: each.digest or recorded.get(each.name, "") for each in endpoint.deployments}
    result = Replay()
    for record in records:
        if limit is not None and result.asked >= limit:
            break
        target, reason = _target(session, endpoint, serving, _with_digest(record, recorded), deployment)
        if record is None or reason:
            result.passed_over[reason] += 1
        else:
            _compare(session, endpoint, record, target, result)
    return result


def _recorded(session: Session, endpoint: EndpointObservation) -> dict[str, str]:
    """Deployment -> digest of its model, of all that the endpoint's own record knows."""
    return {
        each.name: each.digest
        for release in Ledger.open(session, endpoint.name).book.known()
        for each in release.deployments
    }


def _with_digest(record: dict[str, Any] | None, recorded: dict[str, str]) -> dict[str, Any] | None:
    """The record with the digest of its model, which not every platform writes down."""
    if record is None or record.get("model_digest"):
        return record
    return {**record, "model_digest": recorded.get(str(record.get("deployment")))}


def _target(
    session: Session,
    endpoint: EndpointObservation,
    serving: dict[str, str],
    record: dict[str, Any] | None,
    deployment: str | None,
) -> tuple[str | None, str]:
    """Whom to ask (None: whoever the endpoint chooses), or why nobody can be asked."""
    reason = _hindrance(record)
    if reason or record is None or deployment is not None:
        return deployment, reason
    alike = [name for name, digest in serving.items() if digest == record.get("model_digest")]
    if not alike:
        return None, "its model serves here no more; name a deployment to compare with"
    if len(serving) == 1:
        return None, ""
    within_reach = [name for name in alike if not out_of_reach(session, endpoint, name)]
    if not within_reach:
        return None, "several deployments serve and the platform cannot ask one of them"
    return within_reach[0], ""


def _hindrance(record: dict[str, Any] | None) -> str:
    """Why a record is no question that can be asked again; empty when it is one."""
    if record is None:
        return "not readable"
    if "output" not in record or record.get("input") is None:
        return "it was refused then, so there is no prediction to repeat"
    return "columns were masked" if record.get("masked") else ""


def _compare(
    session: Session, endpoint: EndpointObservation, record: dict[str, Any], target: str | None, result: Replay
) -> None:
    result.asked += 1
    answered, reason = None, ""
    try:
        answered = predictions_of(ask(session, endpoint, body_of(record["input"]), deployment=target))
    except (InputRejected, InvocationFailed) as exc:
        reason = str(exc)
    if not reason and _bits(answered) == _bits(record["output"]):
        result.same += 1
    elif len(result.differences) < _MOST_DIFFERENCES:
        result.differences.append(
            Difference(str(record.get("id")), str(record.get("time")), record["output"], answered, reason)
        )


def _bits(answer: Any) -> str:
    """A text that is the same for the same bits alone: 1 is not 1.0, and -0.0 is not 0.0."""
    return json.dumps(answer, sort_keys=True)
