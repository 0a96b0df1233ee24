"""All operations of our own, from the families that answer them, and what the fidelity table tells of them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mlinfra.emulator.azure import discovery
from mlinfra.emulator.azure.endpoints import endpoints, scoring
from mlinfra.emulator.azure.identity import authorization, managed, tokens
from mlinfra.emulator.azure.jobs import history, jobs, msi
from mlinfra.emulator.azure.monitoring import monitoring
from mlinfra.emulator.azure.names import ML
from mlinfra.emulator.azure.registry import groups
from mlinfra.emulator.azure.registry import operations as registry
from mlinfra.emulator.azure.storage import storage
from mlinfra.emulator.azure.vault import vault
from mlinfra.emulator.azure.wire import longrunning
from mlinfra.emulator.azure.wire.schemas import published
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlinfra.emulator.azure.operations import Operation

_ARM = (longrunning, registry, jobs, endpoints, monitoring, groups, authorization, managed)
_HTTP = (scoring, history, msi, storage, vault, discovery, tokens)
_NAMED = "the path, the api-version and what the body names"
_MODELLED = "all members of the body, by the vendor's models of the request's own api-version"
_WORDS = "the words for a body that breaks its model are inferred, but for those of the JSON reader"


def operations() -> tuple[Operation, ...]:
    """All operations of ARM that are emulated."""
    return tuple(chain.from_iterable(part.OPERATIONS for part in _ARM))


def delays() -> dict[str, float]:
    """How long stages take, in virtual seconds, by `family.Stage`."""
    return {**registry.DELAYS, **jobs.DELAYS, **endpoints.DELAYS}


def fidelity() -> Iterator[Fidelity]:
    """What the fidelity table tells of each operation of ARM, and of each request of the other services."""
    known = {each.name: each for each in operations()}
    for name in published():
        if name not in known:
            yield Fidelity(ML, name, emulated=False)
    for each in known.values():
        modelled = each.has_body and each.service == ML
        yield Fidelity(
            each.service,
            each.name,
            validated=_MODELLED if modelled else _NAMED,
            differences=(*each.differences, *((_WORDS,) if modelled else ())),
        )
    for family in _HTTP:
        yield from family.OPERATIONS
