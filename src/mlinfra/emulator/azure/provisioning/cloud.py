"""Calls of Azure Resource Manager in the name of an owner, as the provider's plugin makes them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.policy import Statement
from mlinfra.emulator.provisioning import Refused
from mlinfra.emulator.restcalls import RestCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator

_OWNER = "mlinfra-emulator-owner"
_VERSION = "api-version"
_FAILED = ("Failed", "Canceled")
_DONE = ("Succeeded", *_FAILED)


class Cloud:
    """The emulated subscription, seen by whoever runs its stacks. Thread-safe. Errors are Refused."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self.emulator = emulator
        self.templates: set[str] = set()  # that were run, by the ids of their records

    def put(self, resource: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make or change a resource by its id, and wait until it stands. Returns its document."""
        answer = self._calls.call("PUT", resource, body, {_VERSION: version})
        while _state(answer) not in _DONE:
            self.emulator.clock.sleep(1.0)
            answer = self._calls.call("GET", resource, None, {_VERSION: version})
        if _state(answer) in _FAILED:
            raise Refused(f"{resource} has failed")
        return answer

    def found(self, resource: str, version: str) -> dict[str, Any] | None:
        """A resource's document; None where there is none."""
        return self._calls.found(resource, {_VERSION: version})

    def gone(self, resource: str, version: str) -> None:
        """Remove a resource, and wait until it is gone; nothing where there is none."""
        self._calls.gone(resource, {_VERSION: version})
        while self.found(resource, version) is not None:
            self.emulator.clock.sleep(1.0)

    @cached_property
    def _calls(self) -> RestCalls:
        """In the name of somebody who may do everything."""
        principals = self.emulator.principals
        owner = principals.create(_OWNER).object_id
        self.emulator.policy.put(owner, "everything", (Statement("allow", ("*",)),))
        return RestCalls(self.emulator.url, principals.credentials(owner).token)


def _state(document: Mapping[str, Any]) -> str:
    """How far a resource is; most tell nothing, and stand at once."""
    return str((document.get("properties") or {}).get("provisioningState") or "Succeeded")
