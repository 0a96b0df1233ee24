"""Models: the registry, its versions and what may be done with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlinfra.contract.states import Approval
from mlinfra.engine import approval, copy_model, deletion, evaluations, marks, models, versions
from mlinfra.engine import history as chronicle
from mlinfra.engine import jobs as job_verbs
from mlinfra.engine.endpoints import list_endpoints
from mlinfra.engine.followups import lineage, metrics_of
from mlinfra.engine.submissions import load
from mlinfra.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlinfra.api import Environment
    from mlinfra.contract.models import VersionObservation
    from mlinfra.engine.approval import Decision
    from mlinfra.engine.audit import Entry
    from mlinfra.engine.evaluations import Evaluation
    from mlinfra.engine.models import Shown
    from mlinfra.engine.session import Session


class Version:
    """One version of a model. What is known of it is as old as the last call."""

    def __init__(self, session: Session, observed: VersionObservation) -> None:
        self.session = session
        self.observed = observed

    def __repr__(self) -> str:
        return f"<version {self.handle}>"

    @property
    def name(self) -> str:
        """`<model>:<version>`."""
        return self.observed.name

    @property
    def digest(self) -> str:
        """`sha256:<hex>` of the package: the same model everywhere."""
        return self.observed.digest

    @property
    def aliases(self) -> tuple[str, ...]:
        """The aliases that point at it."""
        return self.observed.aliases

    @property
    def handle(self) -> str:
        """`<environment>/model/<model>:<version>`."""
        return versions.handle(self.session, self.observed)

    def show(self) -> Shown:
        """Everything known of it: manifest, evaluations, approval, the vendor's page."""
        return models.show(self.session, self.name)

    def verify(self) -> Self:
        """Read every byte in the store and compare it with the digest.

        Raises:
            IntegrityError: a byte differs, or a file is gone.
        """
        self.observed = models.verify(self.session, self.name)
        return self

    def alias(self, name: str) -> Self:
        """Let an alias point at it, away from the version it was on. Safe to repeat."""
        self.observed = marks.alias(self.session, self.name, name)
        return self

    def stage(self, name: str) -> Self:
        """Mark it with a stage: dev, staging or prod. Safe to repeat."""
        self.observed = marks.stage(self.session, self.name, name)
        return self

    def approve(self, note: str = "") -> Decision:
        """Let it serve where approval is asked for, in the caller's name. Safe to repeat.

        Raises:
            Denied: the caller may not decide here.
        """
        return approval.approve(self.session, self.name, decision=Approval.APPROVED, note=note)

    def reject(self, note: str = "") -> Decision:
        """The opposite: it may not serve until somebody approves it again."""
        return approval.approve(self.session, self.name, decision=Approval.REJECTED, note=note)

    def evaluate(
        self,
        data: str | Path,
        label: str,
        *,
        task: str | None = None,
        classes: Sequence[str] = (),
        positive: str | None = None,
    ) -> Evaluation:
        """Ask it for every row of a CSV file, compare with the column `label`, and keep the measures.

        Raises:
            SpecError, InputRejected: the table does not fit the model; nothing was asked.
            InvocationFailed: the model failed.
        """
        return evaluations.evaluate(
            self.session, self.name, data=Path(data), label=label, task=task, classes=classes, positive=positive
        )

    def attach(self, evaluation: Mapping[str, object]) -> Evaluation:
        """Keep measures that were computed elsewhere: `{"metrics": {name: number}, …}`."""
        return evaluations.attach(self.session, self.name, evaluation)

    def copy_to(self, target: Environment, *, name: str | None = None) -> Version:
        """Copy it to another environment: digest, lineage and evaluations, not its approval. Safe to repeat."""
        return Version(target.session, copy_model.copy(self.session, self.name, target.session, name=name))

    def download(self, target: str | Path) -> Path:
        """Fetch its package into a folder, which appears whole and verified, or not at all.

        Raises:
            Conflict: the folder holds something.
        """
        models.download(self.session, self.name, Path(target))
        return Path(target)

    def delete(self, *, force: bool = False) -> None:
        """Delete it. Safe to repeat.

        Raises:
            Conflict: an alias points at it, or an endpoint serves it, and `force` was not given.
        """
        deletion.delete(self.session, self.name, endpoints=list_endpoints(self.session), force=force)

    def native(self) -> Any:
        """The vendor SDK's own object for it.

        Raises:
            CapabilityError: the extra `vendor-sdks` is not installed, or the platform has none.
        """
        return self.session.client.native("model", self.observed.native_id)


class Models:
    """The registry of an environment."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def register(self, model: str, package: str | Path, *, tags: Mapping[str, str] | None = None) -> Version:
        """Register a package, or another tool's model file or folder. The same bytes give the same version.

        Raises:
            NotFound, SpecError: there is no model at that path.
            IntegrityError: a file is not the one that was saved; nothing was sent.
        """
        return Version(self._session, models.register(self._session, model, Path(package), tags=tags))

    def register_output(self, model: str, job: str, output: str) -> Version:
        """Register what a job left, with where it came from and the job's metrics.

        Raises:
            NotFound: there is no such job or output.
            UsageError: the job was not submitted by the kit.
        """
        observed = job_verbs.resolve(self._session, job)
        submitted = load(self._session, observed.id) if observed.id else None
        if submitted is None:
            raise UsageError("the store knows nothing of this job's submission", given=job)
        if output not in observed.outputs:
            raise NotFound("the job has no such output", given=output, allowed=", ".join(observed.outputs) or "none")
        version = models.register_from_store(
            self._session,
            model,
            observed.outputs[output],
            lineage=lineage(submitted, observed),
            metrics=metrics_of(self._session, observed),
            tags=dict(submitted.spec.tags),
        )
        return Version(self._session, version)

    def get(self, reference: str) -> Version:
        """The version that `name:3`, `name@alias`, `name@sha256:…`, a handle, or the name of a one-version model means.

        Raises:
            NotFound: there is no such version.
        """
        return Version(self._session, versions.resolve(self._session, reference))

    def list(self) -> list[str]:
        """The names of all models, sorted."""
        return sorted(versions.models(self._session))

    def versions(self, model: str) -> Iterator[Version]:
        """A model's versions, the newest first."""
        return (Version(self._session, each) for each in versions.versions(self._session, model))

    def unalias(self, model: str, name: str) -> None:
        """Take an alias away. Safe to repeat."""
        marks.unalias(self._session, model, name)

    def history(self, model: str) -> Sequence[Entry]:
        """Who did what to a model and its versions, the oldest first."""
        return chronicle.history(self._session, model)

    def delete_version(self, reference: str, *, force: bool = False) -> str:
        """Delete a version, also one whose deletion was cut off; returns its name. Safe to repeat.

        Raises:
            Conflict: an alias points at it, or an endpoint serves it, and `force` was not given.
        """
        return deletion.delete(self._session, reference, endpoints=list_endpoints(self._session), force=force)

    def delete(self, model: str, *, force: bool = False) -> Sequence[str]:
        """Delete a model with all its versions; returns their names. Safe to repeat.

        Raises:
            Conflict: an alias points at one, or an endpoint serves one, and `force` was not given.
        """
        return deletion.delete_model(self._session, model, endpoints=list_endpoints(self._session), force=force)
