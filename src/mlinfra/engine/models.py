"""The verbs on models: register, show, verify, download. Nothing of a model is ever loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import Registration
from mlinfra.contract.steps import Send, Step, Wait
from mlinfra.engine import audit
from mlinfra.engine.approval import standing
from mlinfra.engine.claims import LIFETIME, VISIBILITY
from mlinfra.engine.effects import LOOKUP_PAUSE, read_all
from mlinfra.engine.evaluations import evaluations
from mlinfra.engine.fetching import scratch
from mlinfra.engine.marks import alone
from mlinfra.engine.packages import fetch_package, local_package, package_of, send_package, stored_package
from mlinfra.engine.parallel import each
from mlinfra.engine.reconcile import reconcile
from mlinfra.engine.references import check_model
from mlinfra.engine.transfer import doubt, download_tree
from mlinfra.engine.uses import add_use
from mlinfra.engine.versions import handle, resolve
from mlinfra.errors import CapabilityError, IntegrityError, NotFound
from mlinfra.package import extract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.contract.models import VersionObservation
    from mlinfra.contract.requests import Document, Request
    from mlinfra.engine.approval import Standing
    from mlinfra.engine.evaluations import Evaluation
    from mlinfra.engine.lease import Lease
    from mlinfra.engine.packages import Package
    from mlinfra.engine.session import Session
    from mlinfra.modelkit import Manifest

DEADLINE = 900.0  # seconds for a registry to take a version
_ARCHIVES = ("model.tar.gz", "output.tar.gz")  # how SageMaker leaves what a job wrote


@dataclass(frozen=True)
class Origin:
    """What a version is registered with beside its bytes."""

    lineage: Document
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Shown:
    """A version with all that is known of it. Where its manifest cannot be read, `problem` says why."""

    version: VersionObservation
    handle: str
    manifest: Manifest | None
    problem: str
    evaluations: tuple[Evaluation, ...]
    standing: Standing
    console_url: str


def register(
    session: Session,
    model: str,
    package: Path,
    *,
    lineage: Document | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> VersionObservation:
    """Register a package, or another tool's model file or folder, as a version of a model.

    Safe to repeat and to kill: the same bytes are sent once, and give the same version.

    Raises:
        UsageError: no model can have this name.
        NotFound, SpecError: there is no model at that path.
        IntegrityError: a file is not the one that was saved; nothing was sent.
        DeploymentFailed: the registry refused it.
    """
    check_model(model)
    return enter(session, model, local_package(session, package), Origin(lineage or {}, metrics or {}, tags or {}))


def register_from_store(
    session: Session,
    model: str,
    source: Artefact | str,
    *,
    lineage: Document | None = None,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
) -> VersionObservation:
    """Register what a job left at an address, or below a key, of the environment's store.

    The package is copied to a place named by its digest, and every byte compared with the manifest on the way. So a
    version outlives its job's outputs, nobody who may write job outputs can change it, and a damaged output is found
    before anything is registered. What another tool wrote, or a platform packed into an archive, is fetched first.

    Raises:
        NotFound: nothing lies there.
        IntegrityError: a file is not the one that was saved; nothing was registered.
    """
    check_model(model)
    store = session.store()
    if isinstance(source, str):
        source = Artefact(store.uri(source), is_folder=True)
    origin = Origin(lineage or {}, metrics or {}, tags or {})
    try:
        package = stored_package(session, store.key(source.uri).rstrip("/"))
    except NotFound:
        with scratch(session) as folder:
            fetched = _unpacked(download_tree(session, source, folder / "fetched"), folder / "unpacked")
            return enter(session, model, local_package(session, fetched), origin)
    return enter(session, model, package, origin)


def enter(
    session: Session, model: str, package: Package, origin: Origin, *, verb: str = "register"
) -> VersionObservation:
    """Bring a package into the store and the registry, wherever it comes from. `verb` is what the log calls it."""
    owner = session.caller.principal
    was_held = add_use(session, package.digest, model, owner)
    registration = Registration(
        model=model,
        digest=package.digest,
        artefact=send_package(session, package, remembered=was_held),
        manifest=package.as_document(),
        lineage=origin.lineage,
        metrics=origin.metrics,
        owner=owner,
        tags={**session.environment.tags, **origin.tags},
    )
    with alone(session, model) as held:
        version, is_new = _reconcile(session, held, registration)
    if is_new:
        audit.record(session, verb, f"model/{version.name}", digest=package.digest, lineage=origin.lineage)
        session.say(f"registered {version.name}")
    else:
        session.say(f"{version.name} holds these bytes already")
    return version


def show(session: Session, reference: str) -> Shown:
    """Everything known of a version.

    Raises:
        NotFound: there is no such version.
    """
    version = resolve(session, reference)
    found, problem = _manifest_or_why_not(session, version)
    return Shown(
        version=version,
        handle=handle(session, version),
        manifest=found,
        problem=problem,
        evaluations=tuple(evaluations(session, version)),
        standing=standing(session, version),
        console_url=session.adapter.models.console_url(version, session.environment),
    )


def verify(session: Session, reference: str) -> VersionObservation:
    """Read every byte of a version's package in the store and compare it with the digest that was registered.

    Raises:
        NotFound: there is no such version.
        IntegrityError: a byte differs, or a file is gone. What this machine sends next replaces it.
    """
    version = resolve(session, reference)
    try:
        items = package_of(session, version).items()

        def look(index: int) -> int:
            with items[index].content():
                return items[index].entry.size

        each(session, f"verifying {version.name}", range(len(items)), look)
    except IntegrityError:
        if version.artefact is not None:
            doubt(session, version.artefact.uri)
        raise
    return version


def download(session: Session, reference: str, target: Path) -> VersionObservation:
    """Fetch a version's package into a folder, which appears whole and verified, or not at all.

    Raises:
        NotFound: there is no such version.
        CapabilityError: another tool registered the version, and the kit cannot read it.
        IntegrityError: the bytes are not those that were registered.
        Conflict: `target` exists and is not an empty folder.
        CapacityUnavailable: the disk is full; nothing is left of it.
    """
    version = resolve(session, reference)
    fetch_package(session, version, target)
    return version


def _reconcile(session: Session, held: Lease, registration: Registration) -> tuple[VersionObservation, bool]:
    """The registered version, and whether it was made now."""
    renderer, environment = session.adapter.models, session.environment
    patience = _PatienceWithLists(session)

    def observe() -> dict[str, Document | None]:
        held.renew()
        return read_all(session, renderer.observe(registration, environment))

    def next_step(replies: dict[str, Document | None]) -> Step:
        return patience.temper(renderer.next_step(registration, replies, environment))

    name = f"model/{registration.model}/{registration.digest}"
    reply = reconcile(session, name, observe, next_step, deadline=DEADLINE, between=held.renew)
    version = session.adapter.observe.version(reply, environment)
    if version.digest != registration.digest:
        raise IntegrityError(
            "the registry answered with another model", given=version.digest, allowed=registration.digest
        )
    return version, patience.has_sent


class _PatienceWithLists:
    """Keeps a create from being sent again while lists may still lag behind it."""

    def __init__(self, session: Session) -> None:
        self._clock = session.clock
        self._sent: tuple[Request, ...] = ()
        self._looked: float | None = None  # when the effect was first looked for

    @property
    def has_sent(self) -> bool:
        return bool(self._sent)

    def temper(self, step: Step) -> Step:
        if not isinstance(step, Send):
            return step
        now = self._clock.monotonic()
        if step.requests == self._sent:
            self._looked = now if self._looked is None else self._looked
            window = VISIBILITY if all(each.repeatable for each in step.requests) else LIFETIME
            if now - self._looked < window:
                return Wait("the registry to show the new version", LOOKUP_PAUSE)
        self._sent, self._looked = step.requests, None
        return step


def _manifest_or_why_not(session: Session, version: VersionObservation) -> tuple[Manifest | None, str]:
    try:
        return package_of(session, version).manifest, ""
    except (CapabilityError, IntegrityError, NotFound) as exc:
        return None, str(exc)


def _unpacked(folder: Path, target: Path) -> Path:
    """The folder itself, or what the archive holds that is its only file."""
    files = list(folder.iterdir())
    if len(files) == 1 and files[0].name in _ARCHIVES:
        extract(files[0], target)
        return target
    return folder
