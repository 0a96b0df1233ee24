"""What a spec would lead to, before anything is sent: the requests themselves, the choices, and the losses.

Rendered from the empty state, so that it needs no account and no SDK; what only the platform can tell stands as
`resolved at submit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import (
    losses,
    needed_by_endpoint,
    needed_by_job,
)
from mlinfra.contract.jobs import Artefact
from mlinfra.contract.requests import File, Request
from mlinfra.engine.prepare import LocalInput, wheels_prefix
from mlinfra.engine.submissions import Submitted, bundle_key
from mlinfra.engine.watchers import watcher_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.adapter import Adapter
    from mlinfra.contract.capabilities import Loss
    from mlinfra.contract.jobs import Choice
    from mlinfra.contract.requests import Document
    from mlinfra.engine.prepare import Prepared
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

RESOLVED_AT_SUBMIT = "resolved at submit"


@dataclass(frozen=True)
class Plan:
    """One spec in one environment. `observed` says which state it was rendered from: "empty" or "live"."""

    kind: str
    name: str
    environment: str
    platform: str
    observed: str
    requests: tuple[Request, ...] = ()
    choices: tuple[Choice, ...] = ()
    losses: tuple[Loss, ...] = ()
    permissions: Mapping[str, list[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    refusal: str = ""

    def as_document(self) -> Document:
        """The plan as `-o json` prints it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "environment": self.environment,
            "platform": self.platform,
            "observed": self.observed,
            "requests": [request.as_document() for request in self.requests],
            "choices": [vars(choice) for choice in self.choices],
            "losses": [vars(loss) for loss in self.losses],
            "permissions": {identity: list(actions) for identity, actions in self.permissions.items()},
            "notes": list(self.notes),
            "refusal": self.refusal,
        }


class PlannedStore:
    """Where things would lie, without a client: the environment's store as addresses alone."""

    def __init__(self, environment: Environment) -> None:
        location = environment.stores.get("artefacts")
        self._base = location.uri.rstrip("/") if location else "store:/"

    def uri(self, key: str) -> str:
        """The address of a key."""
        return f"{self._base}/{key}"


def plan_job(prepared: Prepared, environment: Environment, adapter: Adapter) -> Plan:
    """The first attempt at a job, as `submit` would send it.

    Raises:
        CapabilityError, SpecError: as `submit` would.
    """
    store = PlannedStore(environment)
    work_id = prepared.work(environment).id
    bundle = prepared.bundle
    code_key = bundle_key(bundle.digest)
    uploads = [_put("upload-code", store.uri(code_key), File(str(bundle.path), bundle.digest, bundle.size))]
    inputs: dict[str, Artefact] = {}
    for name, each in prepared.inputs.items():
        if isinstance(each, LocalInput):
            uri = store.uri(each.key)
            uploads.append(_put(f"upload-{name}", uri, File(str(each.path), each.digest, each.size)))
            inputs[name] = Artefact(uri, each.digest, each.size, each.is_folder)
        else:
            inputs[name] = Artefact(each.uri, is_folder=each.is_folder)
    submitted = Submitted(
        id=work_id,
        spec=prepared.spec,
        code=bundle.code_digest,
        bundle=Artefact(store.uri(code_key), bundle.digest, bundle.size),
        inputs=inputs,
        lock=prepared.lock.text if prepared.lock else None,
        schemas=prepared.schemas,
        wheels=_planned_wheels(prepared, store),
    )
    requests = adapter.jobs.submit(submitted.run(1, store, environment), environment)
    for request in requests:
        adapter.config.check_request(request)
    return Plan(
        kind="job",
        name=prepared.spec.name,
        environment=environment.name,
        platform=environment.platform,
        observed="empty",
        requests=(*uploads, *requests),
        choices=tuple(adapter.jobs.choices(prepared.spec, environment)),
        losses=tuple(losses(adapter.capabilities, needed_by_job(prepared.spec))),
        permissions=adapter.config.permissions(environment),
        notes=tuple(
            f"inputs.{name}: version {RESOLVED_AT_SUBMIT}, and with it the job's name" for name in prepared.unpinned
        ),
    )


def _planned_wheels(prepared: Prepared, store: PlannedStore) -> Artefact | None:
    """Where the packages would lie; they are fetched when the job is submitted."""
    if prepared.lock is None or not prepared.wheels_for:
        return None
    return Artefact(store.uri(wheels_prefix(prepared.lock, prepared.wheels_for)), is_folder=True)


def plan_endpoint(spec: EndpointSpec, environment: Environment, adapter: Adapter) -> Plan:
    """What an endpoint would get. Its models are resolved when it is deployed."""
    return Plan(
        kind="endpoint",
        name=spec.name,
        environment=environment.name,
        platform=environment.platform,
        observed="empty",
        choices=tuple(adapter.endpoints.choices(spec, environment)),
        losses=tuple(losses(adapter.capabilities, needed_by_endpoint(spec))),
        permissions=adapter.config.permissions(environment),
        notes=(f"rollback watched by: {watcher_of(spec, environment, adapter.capabilities)}",),
    )


def _put(step: str, uri: str, content: File) -> Request:
    return Request(step=step, service="store", operation="Put", body={"uri": uri, "content": content}, repeatable=True)
