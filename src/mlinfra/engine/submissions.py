"""What was submitted, kept beside its jobs in the store.

From this record any machine can begin another attempt or do what is due after the job, also when the journal of the
machine that submitted is gone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.jobs import Artefact, JobRun
from mlinfra.engine import audit, records
from mlinfra.engine.effects import send_all
from mlinfra.engine.manifest import job_manifest
from mlinfra.spec import JobSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.capabilities import Capabilities
    from mlinfra.contract.jobs import JobObservation
    from mlinfra.contract.requests import Document
    from mlinfra.engine.session import Session
    from mlinfra.environment import Environment

REGISTER = "register"
RETRY = "retry"


class Addresses(Protocol):
    """What tells under which address a key of the store lies; a plan has nothing else of a store."""

    def uri(self, key: str) -> str:
        """The address of a key."""


@dataclass(frozen=True)
class Submitted:
    """A piece of work with everything uploaded. `code` is the digest of the user's files alone."""

    id: str
    spec: JobSpec
    code: str
    bundle: Artefact
    inputs: Mapping[str, Artefact]
    lock: str | None = None
    schemas: Document = field(default_factory=dict)
    wheels: Artefact | None = None

    def follow_ups(self, capabilities: Capabilities) -> tuple[str, ...]:
        """The kinds of follow-up that are due when the job has ended; what the platform does itself is not."""
        by_us = support(capabilities, Capability.JOB_RETRIES).level is Level.KIT
        wanted = {REGISTER: self.spec.register_ is not None, RETRY: by_us and self.spec.retries.infrastructure > 0}
        return tuple(kind for kind, is_due in wanted.items() if is_due)

    def run(self, attempt: int, store: Addresses, environment: Environment) -> JobRun:
        """One attempt, as an adapter renders it."""
        base = output_prefix(self.id, attempt)
        return JobRun(
            spec=self.spec,
            id=self.id,
            attempt=attempt,
            bundle=self.bundle,
            inputs=self.inputs,
            outputs={name: Artefact(store.uri(f"{base}/{name}"), is_folder=True) for name in self.spec.outputs},
            result=Artefact(store.uri(f"{base}/{RESULT}"), is_folder=True),
            manifest=job_manifest(self.spec, environment, self.id, attempt, self.schemas),
            lock=self.lock,
            wheels=self.wheels,
            tags={**environment.tags, **self.spec.tags},
        )

    def as_document(self) -> Document:
        """The record in the store."""
        return {
            "id": self.id,
            "spec": self.spec.as_document(),
            "code": self.code,
            "bundle": asdict(self.bundle),
            "inputs": {name: asdict(artefact) for name, artefact in self.inputs.items()},
            "lock": self.lock,
            "schemas": self.schemas,
            "wheels": asdict(self.wheels) if self.wheels else None,
        }

    @classmethod
    def from_document(cls, document: Document) -> Submitted:
        """The record that `as_document` wrote."""
        return cls(
            id=document["id"],
            spec=JobSpec.from_document(document["spec"]),
            code=document["code"],
            bundle=Artefact(**document["bundle"]),
            inputs={name: Artefact(**artefact) for name, artefact in document["inputs"].items()},
            lock=document["lock"],
            schemas=document["schemas"],
            wheels=Artefact(**document["wheels"]) if document.get("wheels") else None,
        )


RESULT = ".mlinfra"  # the runner's own report lies here, beside the outputs


def bundle_key(digest: str) -> str:
    """Where in the store a code bundle lies: alone below a prefix, since some platforms take folders only."""
    return f"code/{digest.removeprefix('sha256:')}/bundle.pyz"


def output_prefix(work_id: str, attempt: int) -> str:
    """Where in the store the outputs of an attempt lie."""
    return f"jobs/{work_id}/{attempt}"


def job_procedure(work_id: str, attempt: int) -> str:
    """What the journal calls the effects on one attempt."""
    return f"job/{work_id}/{attempt}"


def keep(session: Session, submitted: Submitted) -> None:
    """Write the record down, before the first attempt begins. Safe to repeat."""
    records.write(session, _key(submitted.id), submitted.as_document())
    due = submitted.follow_ups(session.adapter.capabilities)
    session.journal.owe(session.environment.id, submitted.id, list(due))


def load(session: Session, work_id: str) -> Submitted | None:
    """What was submitted under that id, None where the store knows nothing of it."""
    record = records.read(session, _key(work_id))
    return Submitted.from_document(record.document) if record else None


def start(session: Session, submitted: Submitted, attempt: int) -> JobObservation:
    """Begin an attempt. Safe to repeat: an attempt that is there already is returned as it stands."""
    run = submitted.run(attempt, session.store(), session.environment)
    requests = session.adapter.jobs.submit(run, session.environment)
    replies = send_all(session, job_procedure(run.id, run.attempt), requests)
    job = session.adapter.observe.job(replies[requests[-1].step], session.environment)
    if not job.id:  # a platform may answer with no more than the name of what it made
        job = replace(job, id=run.id, attempt=run.attempt)
    audit.record(session, "submit", f"job/{run.id}", name=job.name, attempt=attempt, spec=run.spec.name)
    return job


def _key(work_id: str) -> str:
    return f"kit/submissions/{work_id}.json"
