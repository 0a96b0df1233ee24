"""Jobs: what the engine hands to an adapter, what it gets back, and the functions in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.requests import Document, Request
    from mlinfra.contract.states import JobState
    from mlinfra.environment import Environment
    from mlinfra.spec import JobSpec

ID_TAG = "mlinfra_id"
ATTEMPT_TAG = "mlinfra_attempt"


@dataclass(frozen=True)
class Artefact:
    """Bytes at an address of the platform's own. `digest` is `sha256:<hex>`, empty for what the kit did not read.

    `is_folder` tells a prefix from a single object.
    """

    uri: str
    digest: str = ""
    size: int = 0
    is_folder: bool = False


@dataclass(frozen=True)
class JobRun:
    """One attempt at one job, with everything resolved that does not need the platform.

    `id` is the 40 hex digits of the work's identity; `attempt` counts from 1. `outputs` are the addresses
    under which the attempt's outputs will lie, `result` that of the runner's own report (metrics, digests).
    `manifest` is what the runner reads (portable; the adapter adds the container's paths). `lock` is the text of the
    locked requirements, None for an image of the user's own. `wheels` is the folder that holds them, where the job
    will have no package index to ask.
    """

    spec: JobSpec
    id: str
    attempt: int
    bundle: Artefact
    inputs: Mapping[str, Artefact]
    outputs: Mapping[str, Artefact]
    result: Artefact
    manifest: Document
    lock: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    wheels: Artefact | None = None


@dataclass(frozen=True)
class JobObservation:
    """A job as the platform tells it. `native_id` is what its API wants; `detail` its own word for the state.

    `interrupted`: the platform ended it (spot lost, node lost), not the user's code. `outputs` and `result` are
    addresses; they hold something only when the runner got that far. `existed`: the reply to a submission tells that it
    was there before.
    """

    native_id: str
    name: str
    state: JobState
    detail: str = ""
    id: str = ""
    attempt: int = 0
    reason: str = ""
    exit_code: int | None = None
    interrupted: bool = False
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    outputs: Mapping[str, Artefact] = field(default_factory=dict)
    result: Artefact | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    existed: bool = False
    native: Document = field(default_factory=dict)


@dataclass(frozen=True)
class JobPage:
    """One page of a listing. `token` asks for the next, None at the end."""

    jobs: tuple[JobObservation, ...]
    token: str | None = None


@dataclass(frozen=True)
class JobQuery:
    """What to list. Empty fields do not narrow. `updated_after` is for incremental tracking.

    `created_after` narrows where the platform does not tell when a job changed last; others may leave it aside.
    """

    id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    updated_after: datetime | None = None
    created_after: datetime | None = None
    page_size: int = 100


@dataclass(frozen=True)
class LogLine:
    """One line of a job's or a deployment's log. `source` names the node or replica."""

    time: datetime
    source: str
    text: str


@dataclass(frozen=True)
class LogPage:
    """Some lines and the token to go on from, which stays the same when there are no more lines at present."""

    lines: tuple[LogLine, ...]
    token: str


@dataclass(frozen=True)
class Choice:
    """What an adapter chose where the spec said 'at least', and why; shown in the plan."""

    subject: str  # "machine", "image", "interpreter"
    value: str
    reason: str
    count: int = 1
    price: str = ""  # with its date, empty where none is known


class JobRenderer(Protocol):
    """The module `render/jobs.py`. Every function is pure and imports no SDK.

    Raises of all of them: CapabilityError for what the platform cannot do, SpecError for an override or a
    value that the vendor's published schema refuses.
    """

    def physical_name(self, run: JobRun) -> str:
        """The job's name on the platform: deterministic, within its limits."""

    def choices(self, spec: JobSpec, environment: Environment) -> list[Choice]:
        """The machine, image and interpreter that this job would get."""

    def submit(self, run: JobRun, environment: Environment) -> tuple[Request, ...]:
        """The requests that start this attempt; the last one's reply, read by `observe.job`, is the job."""

    def find(self, query: JobQuery, environment: Environment, token: str | None) -> Request:
        """One page of the jobs that carry the kit's tag."""

    def describe(self, native_id: str, environment: Environment) -> Request:
        """One job, with all that the platform tells."""

    def stop(self, job: JobObservation, environment: Environment) -> Request:
        """Ask it to stop. Repeating it is harmless."""

    def delete(self, job: JobObservation, environment: Environment) -> Request:
        """Remove the ended job from the platform's list."""

    def logs(self, job: JobObservation, environment: Environment, token: str | None) -> Request:
        """The next lines; None as token starts at the beginning."""

    def console_url(self, job: JobObservation, environment: Environment) -> str:
        """The address of the vendor's page for it, empty where there is none."""


class JobObserver(Protocol):
    """The part of the module `observe.py` that reads replies about jobs. Total: never raises on a new word."""

    def job(self, reply: Mapping[str, Any], environment: Environment) -> JobObservation:
        """A reply of `submit`'s last request, `describe`, or an item that a look-up found."""

    def jobs(self, reply: Mapping[str, Any], environment: Environment) -> JobPage:
        """A reply of `find`."""

    def logs(self, reply: Mapping[str, Any], environment: Environment) -> LogPage:
        """A reply of `logs`."""
