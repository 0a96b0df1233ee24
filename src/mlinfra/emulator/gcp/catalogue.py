"""All methods of our own, from the families that answer them, and what the fidelity table tells of them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.artifacts import artifacts
from mlinfra.emulator.gcp.endpoints import endpoints, predictions
from mlinfra.emulator.gcp.identity import endpoints as identity
from mlinfra.emulator.gcp.jobs import jobs
from mlinfra.emulator.gcp.logging import logs
from mlinfra.emulator.gcp.metadata import metadata
from mlinfra.emulator.gcp.monitoring import monitoring
from mlinfra.emulator.gcp.registry import methods as registry
from mlinfra.emulator.gcp.secrets import secrets
from mlinfra.emulator.gcp.storage import storage
from mlinfra.emulator.gcp.wire import longrunning, rpcs
from mlinfra.emulator.gcp.wire.messages import plain
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.gcp.operations import Method

_MIXINS = ("ListLocations", "ListOperations")  # every service has them; operations are told apart
_RPCS = (longrunning, registry, jobs, endpoints, predictions)
_HTTP = (storage, logs, monitoring, metadata, secrets, artifacts, identity)


def table() -> dict[tuple[str, str], Method]:
    """Methods by service and name."""
    return {(each.service, each.name): each for each in chain.from_iterable(part.METHODS for part in _RPCS)}


def delays() -> dict[str, float]:
    """How long stages take, in virtual seconds, by `family.Stage`."""
    return {**registry.DELAYS, **jobs.DELAYS, **endpoints.DELAYS}


def fidelity() -> Iterator[Fidelity]:
    """What the fidelity table tells of each method, and of each request of the HTTP services."""
    known = table()
    for service in rpcs.SERVICES:
        for name, rpc in rpcs.rpcs(service).items():
            if name not in _MIXINS:
                yield _told(service, name, known.get((service, name)), rpc.request)
    for name, (request, _) in longrunning.MESSAGES.items():
        yield _told(longrunning.SERVICE, name, known[longrunning.SERVICE, name], request)
    for family in _HTTP:
        yield from family.OPERATIONS


def _told(service: str, name: str, entry: Method | None, request: Any) -> Fidelity:
    members = len(plain(request()).DESCRIPTOR.fields)
    validated = f"all {members} members and what is in them, by type and by what their documentation says"
    return Fidelity(
        service,
        name,
        emulated=entry is not None,
        validated=validated if entry else "",
        differences=entry.differences if entry else (),
    )
