"""How well a version does, kept beside it: computed here on labelled rows, or elsewhere and attached.

An evaluation belongs to a digest. So it is the same for every name that the bytes have, and travels with a copy.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mlinfra.engine import audit, records
from mlinfra.engine.packages import package_at_hand
from mlinfra.engine.predicting import predict
from mlinfra.engine.scoring import score
from mlinfra.engine.tables import read_labelled
from mlinfra.engine.versions import resolve
from mlinfra.errors import Conflict, IntegrityError, UsageError
from mlinfra.modelkit import Manifest
from mlinfra.modelkit.manifest import digest_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session

LARGEST = 1_000_000  # bytes of one evaluation as JSON; tables and pictures belong into a job's outputs
TIMEOUT = 600.0  # seconds for a model to answer all rows


@dataclass(frozen=True)
class Evaluation:
    """One set of measures. `details` hold what they were computed from, and how; `document` is the whole record."""

    key: str
    digest: str
    time: datetime
    who: str
    metrics: dict[str, float]
    details: Document
    document: Document = field(repr=False)


def evaluate(
    session: Session,
    reference: str,
    *,
    data: Path,
    label: str,
    task: str | None = None,
    classes: Sequence[str] = (),
    positive: str | None = None,
    candidates: Iterable[Path] = (),
    timeout: float = TIMEOUT,
) -> Evaluation:
    """Ask a version for every row of a CSV file, compare with the column `label`, and keep what came out.

    The model runs in a process of its own, with an interpreter that has its packages: one of `candidates`, this one,
    or one made for it. Accuracy and log loss, AUC for two classes; RMSE and MAE for quantities. `task`, `classes` and
    `positive` say what cannot be told from the data (see `scoring.score`).

    Raises:
        NotFound: there is no such version or file.
        SpecError, InputRejected: the table does not fit the model; nothing was asked.
        InvocationFailed: the model failed, or gave no answer in time.
        CapabilityError: no interpreter of the model's Python is here.
    """
    version = resolve(session, reference)
    folder = package_at_hand(session, version)
    manifest = Manifest.read(folder)
    table = read_labelled(data, label, manifest.schema)
    session.say(f"asking {version.name} for {len(table.rows):,} rows")
    answers = predict(session, folder, manifest, table.rows, candidates=candidates, timeout=timeout)
    scores = score(answers.predictions, table.truth, task=task, classes=classes, positive=positive)
    content = digest_file(data)
    details: Document = {
        "data": {"name": data.name, "digest": f"sha256:{content.sha256}", "size": content.size},
        "label": label,
        "rows": len(table.rows),
        "skipped": table.skipped,
        "ignored": list(table.ignored),
        "task": scores.task,
        "classes": list(scores.classes),
        "method": manifest.method,
        "way": answers.way,
        "notes": list(scores.notes),
    }
    return _keep(session, version, "evaluate", scores.metrics, details)


def attach(session: Session, reference: str, document: Mapping[str, object]) -> Evaluation:
    """Keep measures that were computed elsewhere: `{"metrics": {name: number}, …}`, whatever else it holds.

    Raises:
        NotFound: there is no such version.
        UsageError: there are no metrics, one is not finite, or the document is no JSON or too large.
        Conflict: the document names another model's digest.
    """
    version = resolve(session, reference)
    metrics = document.get("metrics")
    if not isinstance(metrics, dict) or not metrics:
        raise UsageError("an evaluation names its metrics", given=document, allowed='{"metrics": {"auc": 0.83}, …}')
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise UsageError(f"the metric {name} is no finite number", given=value)
    if document.get("digest", version.digest) != version.digest:
        raise Conflict("these are the measures of another model", given=document["digest"], allowed=version.digest)
    details = {key: value for key, value in document.items() if key not in ("metrics", "digest")}
    return _keep(session, version, "attach", {name: float(value) for name, value in metrics.items()}, details)


def evaluations(session: Session, version: VersionObservation) -> list[Evaluation]:
    """Every evaluation of the version's bytes, the oldest first.

    Raises:
        IntegrityError: one is not readable.
    """
    if not version.digest:
        return []
    keys = records.names(session, f"{_folder(version.digest)}/")
    return [each for each in (_read(session, key) for key in keys) if each is not None]


def carry(source: Session, version: VersionObservation, target: Session) -> int:
    """Copy the evaluations of a version's bytes to another environment; returns how many were new there."""
    return sum(_write(target, each.key, each.document) for each in evaluations(source, version))


def _keep(
    session: Session, version: VersionObservation, verb: str, metrics: dict[str, float], details: Document
) -> Evaluation:
    if not version.digest:
        raise UsageError(
            f"{version.name} was registered by another tool; without a digest nobody can say what was measured",
            given=version.native_id,
        )
    now = session.clock.now()
    document: Document = {
        "version": 1,
        "model": version.model,
        "model_version": version.version,
        "digest": version.digest,
        "time": now.isoformat(),
        "who": session.caller.principal,
        "metrics": metrics,
        "details": details,
    }
    mark = hashlib.sha256(_text(document).encode()).hexdigest()[:8]
    key = f"{_folder(version.digest)}/{now:%Y%m%dT%H%M%S.%fZ}-{mark}.json"
    _write(session, key, document)
    audit.record(session, verb, f"model/{version.name}", record=key, metrics=metrics)
    return _evaluation(key, document)


def _write(session: Session, key: str, document: Document) -> bool:
    """Write a record under its own name; False where it was there already, which is as good."""
    try:
        records.write(session, key, document, if_absent=True)
    except Conflict:
        return False
    return True


def _text(document: Document) -> str:
    try:
        text = json.dumps(document, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as exc:
        raise UsageError(
            f"the evaluation is no JSON document: {exc}", allowed="texts, finite numbers, lists, objects"
        ) from exc
    if len(text) > LARGEST:
        given = f"{len(text):,} bytes"
        raise UsageError("the evaluation is too large", given=given, allowed=f"{LARGEST:,} bytes")
    return text


def _read(session: Session, key: str) -> Evaluation | None:
    record = records.read(session, key)
    return _evaluation(key, record.document) if record else None


def _evaluation(key: str, document: Document) -> Evaluation:
    try:
        return Evaluation(
            key=key,
            digest=document["digest"],
            time=datetime.fromisoformat(document["time"]),
            who=document["who"],
            metrics=dict(document["metrics"]),
            details=document["details"],
            document=document,
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise IntegrityError("an evaluation in the store is not readable", given=key) from exc


def _folder(digest: str) -> str:
    return f"kit/evaluations/{digest.removeprefix('sha256:')}"
