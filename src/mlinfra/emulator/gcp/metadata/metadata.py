"""The metadata servers of one emulator: one for each job, one for each account that servers run as."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.metadata.instance import SERVICE, Instance
from mlinfra.emulator.gcp.wire import httpcalls, refusals
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from werkzeug.wrappers import Request, Response

    from mlinfra.emulator.gcp.emulator import GcpEmulator


class Metadata:
    """Opens metadata servers and closes what is open at the end."""

    def __init__(self, emulator: GcpEmulator) -> None:
        self._emulator = emulator
        self._lock = Lock()
        self._open: set[Instance] = set()
        self._shared: dict[str, Instance] = {}

    def open(self, principal: str, attributes: Mapping[str, str] | None = None) -> Instance:
        """A metadata server for a machine that runs as a service account; `close` it when the machine is gone."""
        instance = Instance(self._emulator, principal, attributes).start()
        with self._lock:
            self._open.add(instance)
        return instance

    def close(self, instance: Instance) -> None:
        """Close one. Safe to repeat."""
        instance.stop()
        with self._lock:
            self._open.discard(instance)

    def variables(self, principal: str) -> dict[str, str]:
        """What leads a process that runs as a service account to a server for that account, shared and lasting."""
        with self._lock:
            shared = self._shared.get(principal)
        if shared is None:
            shared = self.open(principal)
            with self._lock:
                shared = self._shared.setdefault(principal, shared)
        return shared.variables()

    def stop(self) -> None:
        """Close all of them. Safe to repeat."""
        with self._lock:
            instances, self._open, self._shared = list(self._open), set(), {}
        for instance in instances:
            instance.stop()

    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer at the emulator's own port, as the machine of the deployer who uses it."""
        deployer = self._emulator.seeded.identities.get("deployer", "")
        if not deployer:
            return httpcalls.served(environ, start_response, _nobody)
        return Instance(self._emulator, deployer).respond(environ, start_response)


def _nobody(_request: Request) -> Response:
    raise refusals.not_found("There is no deployer yet, so this machine runs as nobody.")


OPERATIONS = (
    Fidelity(
        SERVICE,
        "computeMetadata/v1",
        validated="the path, Metadata-Flavor",
        differences=(
            "identity tokens, guest attributes and waiting for changes are not emulated",
            "the project is the user's own, not a tenant project of the service",
            "at the address of a job or server Cloud Storage takes requests without credentials as its account's",
        ),
    ),
)
