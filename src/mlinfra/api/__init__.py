"""The Python interface: the same verbs as the command line, which is built on it.

with mlinfra.environment("aws-dev") as dev:
    job = dev.jobs.submit("job.yaml", wait=True)
    print(job.metrics())
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mlinfra.engine import environments
from mlinfra.engine.folders import Folders
from mlinfra.engine.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlinfra.api.endpoints import Endpoints
    from mlinfra.api.jobs import Jobs
    from mlinfra.api.models import Models
    from mlinfra.api.runs import Runs
    from mlinfra.api.store import ObjectStore
    from mlinfra.engine.apply import Applied
    from mlinfra.engine.followups import Followed
    from mlinfra.engine.plan import Plan
    from mlinfra.engine.recover import Recovered
    from mlinfra.engine.session import Session
    from mlinfra.engine.sweeping import Swept
    from mlinfra.environment import Environment as Description

__all__ = ["Environment", "connect", "environment"]


def environment(name: str | None = None, *, folder: str | Path | None = None) -> Environment:
    """An environment by name, or the one that commands would work in. Sends nothing.

    `folder` is a folder of the project, by default the one we stand in. Progress is told on stderr.

    Raises:
        EnvironmentNotFound: the project knows no environment of that name.
        CapabilityError: the platform's SDK is not installed.
    """
    folders = Folders.find(Path(folder) if folder is not None else None)
    return connect(environments.choose(folders, name).environment, folders)


def connect(description: Description, folders: Folders, say: Callable[[str], None] | None = None) -> Environment:
    """An environment from its document. `say` is told of progress."""
    stack = ExitStack()
    return Environment(stack.enter_context(open_session(description, folders=folders, say=say)), stack)


class Environment:
    """A place to run things. `with` or `close` lets go of its connections; nothing in it ends with that."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self._session = session
        self._stack = stack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<environment {self.description.id}>"

    @property
    def session(self) -> Session:
        """What the engine's own functions take, for whoever needs more than is here."""
        return self._session

    @property
    def description(self) -> Description:
        """Its document: platform, region, stores, …."""
        return self._session.environment

    @cached_property
    def jobs(self) -> Jobs:
        """Training and processing runs."""
        from mlinfra.api.jobs import Jobs  # noqa: PLC0415  each part costs imports that the others need not pay

        return Jobs(self._session)

    @cached_property
    def models(self) -> Models:
        """The registry."""
        from mlinfra.api.models import Models  # noqa: PLC0415

        return Models(self._session)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Model versions that answer."""
        from mlinfra.api.endpoints import Endpoints  # noqa: PLC0415

        return Endpoints(self._session)

    @cached_property
    def runs(self) -> Runs:
        """Jobs seen as experiments."""
        from mlinfra.api.runs import Runs  # noqa: PLC0415

        return Runs(self._session)

    @cached_property
    def store(self) -> ObjectStore:
        """The object store."""
        from mlinfra.api.store import ObjectStore  # noqa: PLC0415

        return ObjectStore(self._session)

    def apply(self, *files: str | Path) -> Iterator[Applied]:
        """Do what files say, in the order in which it depends, yielding each spec as it is done. Safe to repeat.

        Nothing is done before the first one is asked for: go through all of them.

        Raises:
            SpecError, CapabilityError: nothing was sent.
            JobFailed, DeploymentFailed, RolledBack: it went as far as that.
        """
        from mlinfra.engine.apply import apply  # noqa: PLC0415

        return apply(self._session, files)

    def plan(self, *files: str | Path, live: bool = False) -> list[Plan]:
        """What files would lead to; nothing is sent but, with `live`, questions.

        Raises:
            SpecError, CapabilityError: as submitting or deploying would.
        """
        from mlinfra.engine.planning import plan, plan_live  # noqa: PLC0415

        if live:
            return list(plan_live(files, self._session))
        return list(plan(files, self.description, self._session.adapter, self._session.folders))

    def follow_up(self) -> list[Followed]:
        """Do what is due after jobs that have ended: register their models, begin another attempt. Safe to repeat."""
        from mlinfra.engine.followups import follow_up_all  # noqa: PLC0415

        return follow_up_all(self._session)

    def recover(self) -> Recovered:
        """Settle what a crash left open, and do what is due. Safe to repeat."""
        from mlinfra.engine.recover import recover  # noqa: PLC0415

        return recover(self._session)

    def sweep(self, *, older_than: float | None = None, everything: bool = False, look_only: bool = False) -> Swept:
        """Take away what the kit made and what has outlived its time. Safe to repeat.

        Endpoints whose time to live is over; with `older_than`, in seconds, also endpoints made and jobs ended before
        that; with `everything` all endpoints, jobs and models. With `look_only` nothing is touched.
        """
        from mlinfra.engine.sweeping import sweep  # noqa: PLC0415

        return sweep(self._session, older_than=older_than, everything=everything, look_only=look_only)

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""
        self._stack.close()
