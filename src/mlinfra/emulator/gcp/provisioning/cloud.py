"""Calls of Google Cloud's REST interfaces in the name of an owner, as the provider's plugin makes them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.policy import Statement
from mlinfra.emulator.provisioning import Refused
from mlinfra.emulator.restcalls import RestCalls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.gcp.emulator import GcpEmulator

_OWNER = "mlinfra-emulator-owner"


class Cloud:
    """The emulated project, seen by whoever runs its stacks. Thread-safe. Errors are Refused."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self.emulator = emulator
        self.project = emulator.project

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """One call; `path` begins with a slash. Members of the body that are None are left out."""
        return self._calls.call(method, path, body, query)

    def found(self, path: str, **query: str) -> dict[str, Any] | None:
        """What a GET tells; None where there is nothing."""
        return self._calls.found(path, query)

    def gone(self, path: str, **query: str) -> dict[str, Any]:
        """One call that removes; what is gone already is as good."""
        return self._calls.gone(path, query)

    def finished(self, operation: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a long-running operation of Vertex AI ends with. Refused where it fails."""
        while not operation.get("done"):
            self.emulator.clock.sleep(1.0)
            operation = self.call("GET", f"/v1/{operation['name']}")
        if error := operation.get("error"):
            raise Refused(f"{operation['name']}: {error.get('message', error)}")
        answer: Mapping[str, Any] = operation.get("response") or {}
        return answer

    @cached_property
    def _calls(self) -> RestCalls:
        """In the name of somebody who may do everything, whatever becomes of the project's policy."""
        email = f"{_OWNER}@{self.project}.iam.gserviceaccount.com"
        self.emulator.principals.create(email)
        self.emulator.policy.put(email, "everything", (Statement("allow", ("*",)),))
        return RestCalls(self.emulator.url, self.emulator.principals.token(email, lasting=True))
