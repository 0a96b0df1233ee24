"""Jobs seen as experiments: read from the platform by tag, so that no other server keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.engine import jobs as engine
from mlinfra.engine.submissions import load

if TYPE_CHECKING:
    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.engine.session import Session


class Run:
    """One run: what went in and what came out."""

    def __init__(self, session: Session, job: JobObservation) -> None:
        self._session = session
        self.job = job

    @property
    def id(self) -> str:
        """The identity of its work, forty hex digits."""
        return self.job.id

    @property
    def params(self) -> dict[str, object]:
        """The parameters that it was submitted with; empty where the store knows nothing of it."""
        submitted = load(self._session, self.job.id) if self.job.id else None
        return dict(submitted.spec.params) if submitted else {}

    @property
    def results(self) -> dict[str, float]:
        """The last value of each metric, as far as the listing tells."""
        return dict(self.job.metrics)

    def metrics(self) -> tuple[MetricPoint, ...]:
        """Every value that it logged, in order."""
        return engine.metrics(self._session, self.job)


class Runs:
    """The runs of an environment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, tags: dict[str, str] | None = None, name: str = "") -> list[Run]:
        """The runs that bear these tags and whose name holds `name`, the newest first."""
        return [Run(self._session, job) for job in engine.list_jobs(self._session, tags=tags, name=name)]

    def get(self, reference: str) -> Run:
        """The run that a handle, a native id, or the first digits of a work's id names."""
        return Run(self._session, engine.resolve(self._session, reference))
