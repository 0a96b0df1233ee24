"""What files would lead to, from the empty state or from what is there; nothing is sent but questions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlinfra.engine.plan import Plan, plan_endpoint, plan_job
from mlinfra.engine.prepare import prepare
from mlinfra.engine.sources import read, settle
from mlinfra.errors import CapabilityError
from mlinfra.package import fetch_code, listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mlinfra.contract.adapter import Adapter
    from mlinfra.engine.folders import Folders
    from mlinfra.engine.prepare import Prepared
    from mlinfra.engine.session import Session
    from mlinfra.engine.sources import Settings, Sources
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec, JobSpec


def plan(
    files: Iterable[str | Path], environment: Environment, adapter: Adapter, folders: Folders, settings: Settings = ()
) -> Iterator[Plan]:
    """The plans of the jobs and endpoints of files, rendered from the empty state: no account, no SDK.

    Raises:
        SpecError, CapabilityError: as submitting or deploying would.
    """
    sources = read(files, folders)
    for prepared in prepare_all(sources, environment, adapter, folders, settings):
        yield plan_job(prepared, environment, adapter)
    for spec in sources.endpoints:
        yield plan_endpoint(settle(spec, environment), environment, adapter)


def plan_live(files: Iterable[str | Path], session: Session, settings: Settings = ()) -> Iterator[Plan]:
    """As `plan`, after asking what is there: versions of inputs, what an alias means, what would be reused."""
    environment, adapter = session.environment, session.adapter
    sources = read(files, session.folders)
    for prepared in prepare_all(sources, environment, adapter, session.folders, settings):
        yield _live_job(session, prepared)
    for spec in sources.endpoints:
        yield _live_endpoint(session, settle(spec, environment))


def plan_or_refusal(
    files: Iterable[str | Path], environment: Environment, adapter: Adapter, folders: Folders, settings: Settings = ()
) -> Iterator[Plan]:
    """As `plan`, with what this platform cannot do as part of the plan, so that platforms can stand side by side."""
    sources = read(files, folders)
    for spec, base in sources.jobs:
        try:
            wanted = settle(spec, environment, settings)
            prepared = prepare(wanted, base, environment, adapter, folders, models=sources.models)
            yield plan_job(prepared, environment, adapter)
        except CapabilityError as exc:
            yield _refused("job", spec.name, environment, exc)
    for endpoint in sources.endpoints:
        try:
            yield plan_endpoint(settle(endpoint, environment), environment, adapter)
        except CapabilityError as exc:
            yield _refused("endpoint", endpoint.name, environment, exc)


def prepare_all(
    sources: Sources, environment: Environment, adapter: Adapter, folders: Folders, settings: Settings = ()
) -> Iterator[Prepared]:
    """The jobs of files with everything resolved that this machine knows."""
    for spec, base in sources.jobs:
        wanted = settle(spec, environment, settings)
        yield prepare(wanted, base, environment, adapter, folders, models=sources.models)


def code_of(spec: JobSpec, base: Path, folders: Folders) -> Sequence[tuple[str, int]]:
    """The files of a job's code that would travel: path and bytes."""
    code = base / spec.code if isinstance(spec.code, str) else fetch_code(spec.code.git, spec.code.ref, folders.cache)
    paths = [base / each.uri for each in spec.inputs.values() if each.is_local]
    return listing(code, exclude=paths)


def _live_job(session: Session, prepared: Prepared) -> Plan:
    from mlinfra.engine.submit import pin  # noqa: PLC0415  planning from the empty state stays quick without them
    from mlinfra.engine.track import attempts  # noqa: PLC0415  see above

    pinned = pin(session, prepared)
    earlier = [job for job in attempts(session, pinned.work(session.environment).id) if job.state.reusable]
    known = [f"{job.name} is {job.state}: it would be reused" for job in earlier[-1:]]
    plan = plan_job(pinned, session.environment, session.adapter)
    return replace(plan, observed="live", notes=(*plan.notes, *known))


def _live_endpoint(session: Session, spec: EndpointSpec) -> Plan:
    from mlinfra.engine.deploy import served  # noqa: PLC0415  see above

    meant = (
        f"{variant}: {spec.deployments[variant].model} is {each.version.name}, {each.version.digest}"
        for variant, each in served(session, spec).items()
    )
    plan = plan_endpoint(spec, session.environment, session.adapter)
    return replace(plan, observed="live", notes=(*plan.notes, *meant))


def _refused(kind: str, name: str, environment: Environment, exc: CapabilityError) -> Plan:
    return Plan(
        kind=kind,
        name=name,
        environment=environment.name,
        platform=environment.platform,
        observed="empty",
        refusal=exc.what,
    )
