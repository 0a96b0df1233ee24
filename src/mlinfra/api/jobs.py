"""Jobs: submit, follow, stop, fetch what they left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from mlinfra.engine import jobs as engine
from mlinfra.engine.prepare import prepare
from mlinfra.engine.sources import of, settle
from mlinfra.engine.submissions import load
from mlinfra.engine.submit import submit
from mlinfra.spec import defaults, warnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlinfra.contract.jobs import JobObservation, LogLine
    from mlinfra.contract.runs import MetricPoint
    from mlinfra.engine.followups import Followed
    from mlinfra.engine.session import Session
    from mlinfra.engine.sources import Settings
    from mlinfra.spec import JobSpec


class Job:
    """One job. What is known of it is as old as the last call; `refresh` asks again."""

    def __init__(
        self, session: Session, observed: JobObservation, *, reused: bool = False, due: tuple[str, ...] = ()
    ) -> None:
        self.session = session
        self.observed = observed
        self.reused = reused  # it was under way or done before this submission
        self.due = due  # what will be done when it has ended: "register", "retry"
        self.followed: list[Followed] = []  # what was done after its end

    def __repr__(self) -> str:
        return f"<job {self.handle} {self.state}>"

    @property
    def handle(self) -> str:
        """`<environment>/job/<id>`: names it on the command line and between machines."""
        return str(engine.handle_of(self.session, self.observed))

    @property
    def id(self) -> str:
        """The identity of its work, forty hex digits; all attempts share it."""
        return self.observed.id

    @property
    def name(self) -> str:
        """Its name on the platform."""
        return self.observed.name

    @property
    def state(self) -> str:
        """Where it stood when last asked: queued, running, succeeded, …."""
        return self.observed.state.value

    @property
    def console_url(self) -> str:
        """The vendor's page for it, empty where there is none."""
        return self.session.adapter.jobs.console_url(self.observed, self.session.environment)

    def refresh(self) -> Self:
        """Ask how it stands."""
        self.observed = engine.resolve(self.session, self.handle)
        return self

    def wait(self, *, check: bool = True) -> Self:
        """Block until it has ended, and do what is due then. May be interrupted; the job goes on.

        Raises:
            JobFailed: it did not succeed, and `check` was not turned off.
        """
        (ended,), followed = Jobs(self.session).wait([self], check=False)
        self.observed = engine.measured(self.session, ended.observed)
        self.followed += followed
        if check:
            engine.raise_for_state(self.observed)
        return self

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """What it printed, from the beginning; with `follow` until it has ended."""
        return engine.logs(self.session, self.observed, follow=follow)

    def metrics(self) -> tuple[MetricPoint, ...]:
        """Every value that it logged, in order."""
        return engine.metrics(self.session, self.observed)

    def stop(self, *, wait: bool = True) -> Self:
        """Ask it to stop, and wait until it has. Safe to repeat."""
        self.observed = engine.stop(self.session, self.observed, wait_for_end=wait)
        return self

    def download(self, target: str | Path, *, output: str | None = None) -> list[Path]:
        """Fetch its outputs, or one of them, into `target/<output>`.

        Raises:
            NotFound: it has no such output, or left nothing.
            IntegrityError: the bytes are not those that it wrote.
        """
        return engine.download(self.session, self.observed, Path(target), output=output)

    def delete(self) -> None:
        """Remove it and what it left in the store; a registered model keeps its own copy. Safe to repeat.

        Raises:
            Conflict: it is under way.
        """
        engine.delete(self.session, self.observed)

    def native(self) -> Any:
        """The vendor SDK's own object for it.

        Raises:
            CapabilityError: the extra `vendor-sdks` is not installed, or the platform has none.
        """
        return self.session.client.native("job", self.observed.native_id)


class Waited(NamedTuple):
    """Jobs that have ended, an interrupted one in the shape of its last attempt, and what was done after them."""

    jobs: list[Job]
    followed: list[Followed]


class Jobs:
    """The jobs of an environment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def submit(
        self,
        spec: str | Path | JobSpec,
        *,
        wait: bool = False,
        new: str | None = None,
        set: Settings = (),  # noqa: A002  as --set
    ) -> Job:
        """Start a job, unless the same work is under way or done already. Safe to repeat and to run twice at once.

        `spec` is a file, or a spec whose paths are relative to the folder we stand in. `new` names a deliberate
        repetition. `set` changes fields: `{"params.depth": 8}`. With `wait` as `Job.wait`.

        Raises:
            SpecError, CapabilityError, UsageError: nothing was sent.
            TemporaryError: run it again; it goes on from where it stands.
        """
        sources = of(spec, self._session.folders)
        job_spec, base = sources.only_job()
        environment, adapter, folders = self._session.environment, self._session.adapter, self._session.folders
        wanted = settle(job_spec, environment, set)
        prepared = prepare(wanted, base, environment, adapter, folders, models=sources.models, occasion=new or "")
        for warning in warnings(wanted):
            self._session.say(f"warning: {warning}")
        found = submit(self._session, prepared)
        job = Job(self._session, found.job, reused=found.reused, due=found.follow_ups)
        return job.wait() if wait else job

    def get(self, reference: str) -> Job:
        """The job that a handle, a native id, or the first six or more digits of its work's id names.

        Raises:
            NotFound: there is no such job.
        """
        return Job(self._session, engine.resolve(self._session, reference))

    def list(self, *, tags: dict[str, str] | None = None, name: str = "") -> list[Job]:
        """The jobs that bear these tags and whose name holds `name`, the newest first."""
        return [Job(self._session, each) for each in engine.list_jobs(self._session, tags=tags, name=name)]

    def wait(self, jobs: Iterable[Job], *, check: bool = True) -> Waited:
        """Block until all of them have ended, with one listing an interval for all together, and do what is due.

        Raises:
            JobFailed: one did not succeed, and `check` was not turned off.
        """
        waiting = list(jobs)
        ended, followed = engine.wait(
            self._session,
            [job.observed for job in waiting],
            max_runtime=max(map(max_runtime, waiting), default=0.0),
            on_change=lambda job: self._session.say(described(job)),
        )
        for each in ended if check else ():
            engine.raise_for_state(each)
        return Waited([Job(self._session, each) for each in ended], followed)


def described(job: JobObservation) -> str:
    """Where a job stands, in the words in which waiting is told."""
    return f"job {job.name}: {job.state}" if job.state.terminal else f"waiting for job {job.name}: {job.state}"


def max_runtime(job: Job) -> float:
    """The seconds that a job may run, as it was submitted."""
    submitted = load(job.session, job.id) if job.id else None
    return float(submitted.spec.resources.max_runtime if submitted else defaults.MAX_RUNTIME)
