"""The shapes of what `-o json` prints. Fields are added, never renamed; the reference is generated from here.

Times are ISO 8601 with their offset, durations in seconds, sizes in bytes, digests `sha256:<hex>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from datetime import datetime


class ArtefactShape(TypedDict):
    """Bytes somewhere."""

    uri: str
    digest: str
    size: int


class JobShape(TypedDict):
    """A job: how to name it, where it stands, what came of it."""

    handle: str
    id: str
    attempt: int
    name: str
    state: str
    detail: str
    reason: str
    exit_code: int | None
    interrupted: bool
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    machine: str
    metrics: dict[str, float]
    outputs: dict[str, ArtefactShape]
    tags: dict[str, str]
    console: str


class SubmittedShape(JobShape):
    """A job after its submission: whether it was there before, and what is due after it."""

    reused: bool
    due: list[str]


class FollowedShape(TypedDict):
    """What was done after a job's end: a model registered, another attempt begun."""

    kind: str
    outcome: str
    version: str | None
    job: str | None


class LineShape(TypedDict):
    """One line of a log."""

    time: datetime
    source: str
    text: str


class PointShape(TypedDict):
    """One logged value of a metric."""

    name: str
    value: float
    step: int | None
    time: datetime | None


class ObjectShape(TypedDict):
    """An object of the store."""

    key: str
    uri: str
    size: int
    etag: str
    modified: datetime
    metadata: dict[str, str]


class VersionShape(TypedDict):
    """A model version as the registry tells it."""

    handle: str
    name: str
    model: str
    version: str
    state: str
    digest: str
    uri: str
    aliases: list[str]
    stage: str
    owner: str
    created: datetime | None
    metrics: dict[str, float]
    lineage: dict[str, Any]
    tags: dict[str, str]


class EvaluationShape(TypedDict):
    """One set of measures of a digest."""

    digest: str
    time: datetime
    who: str
    metrics: dict[str, float]
    details: dict[str, Any]


class DecisionShape(TypedDict):
    """One approval or rejection."""

    version: str
    digest: str
    decision: str
    approver: str
    account: str
    time: datetime
    note: str


class KnownVersionShape(VersionShape):
    """A model version with its package's manifest, evaluations and standing."""

    manifest: dict[str, Any] | None
    problem: str
    evaluations: list[EvaluationShape]
    approved: bool
    standing: str
    registrants: list[str]
    decisions: list[DecisionShape]
    console: str


class EntryShape(TypedDict):
    """One line of the log of who did what."""

    time: datetime
    who: str
    verb: str
    subject: str
    details: dict[str, Any]


class DeploymentShape(TypedDict):
    """A model version behind an endpoint; traffic in percent."""

    name: str
    state: str
    reason: str
    traffic: int
    replicas: int
    ready_replicas: int
    model: str
    version: str
    digest: str
    created: datetime | None


class EndpointShape(TypedDict):
    """An endpoint as the platform tells it."""

    handle: str
    name: str
    physical_name: str
    state: str
    reason: str
    detail: str
    url: str
    traffic: dict[str, int]
    deployments: list[DeploymentShape]
    created: datetime | None
    expires: datetime | None
    owned_by_stack: bool
    tags: dict[str, str]


class KnownEndpointShape(EndpointShape):
    """An endpoint with its releases, a rollout that stands, and how to call it."""

    rollout: dict[str, Any] | None
    serves: str | None
    previous: list[str]
    console: str
    calls: dict[str, str]


class OutcomeShape(TypedDict):
    """What a command did to an endpoint, and the endpoint after it."""

    change: str
    watched_by: str
    endpoint: EndpointShape | None
    rollout: dict[str, Any] | None


class DifferenceShape(TypedDict):
    """A captured request that is answered differently now."""

    id: str
    time: str
    captured: Any
    answered: Any
    reason: str


class ReplayShape(TypedDict):
    """What came of a replay; passed_over counts records by the reason why they cannot be asked again."""

    asked: int
    same: int
    different: int
    passed_over: dict[str, int]
    differences: list[DifferenceShape]


SHAPES: tuple[type, ...] = (
    JobShape,
    SubmittedShape,
    ArtefactShape,
    FollowedShape,
    LineShape,
    PointShape,
    ObjectShape,
    VersionShape,
    KnownVersionShape,
    EvaluationShape,
    DecisionShape,
    EntryShape,
    EndpointShape,
    KnownEndpointShape,
    DeploymentShape,
    OutcomeShape,
    ReplayShape,
    DifferenceShape,
)
