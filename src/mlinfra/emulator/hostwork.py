"""The emulator's own use of the host: what it starts is isolated, and nothing outlives the emulator."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.isolation import surroundings
from mlinfra.errors import NotFound
from mlinfra.host import Host
from mlinfra.host.processes import belonging, exterminate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlinfra.host import Image

_STARTING = {"CreateJob", "CreateDeployment"}
_LIVE = ["queued", "starting", "running", "stopping"]
_PATIENCE = 5.0  # s for jobs and servers to end by themselves


class IsolatedHost(Host):
    """A host whose jobs and servers find no credentials, profiles or metadata addresses of the user's.

    What a job's or deployment's own `env` says still counts.
    """

    def __init__(self, root: Path, home: Path, images: Mapping[str, Image], principal: str = "") -> None:
        super().__init__(root, images=images, principal=principal)
        self._home = home
        self._surroundings = {**dict.fromkeys(_no_proxies(), ""), **surroundings(home, os.environ)}

    def acting_as(self, principal: str) -> Host:
        """As Host.acting_as, and isolated as well."""
        return IsolatedHost(self.root, self._home, self._images, principal)

    def call(self, operation: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As Host.call."""
        if operation in _STARTING and body is not None:
            body = {**body, "env": {**self._surroundings, **body.get("env", {})}}
        return super().call(operation, body)


def _no_proxies() -> list[str]:
    """The proxies in force, which must not be: jobs talk to loopback alone."""
    known = {"http_proxy", "https_proxy", "all_proxy"}
    return [name for name in os.environ if name.lower() in known]


def end_all(host: Host) -> None:
    """Stop every job, delete every endpoint, and kill what does not end within a few seconds."""
    for endpoint in list(_pages(host, "ListEndpoints", "endpoints")):
        with suppress(NotFound):
            host.call("DeleteEndpoint", {"endpoint": endpoint["endpoint"]})
    for job in list(_pages(host, "ListJobs", "jobs", states=_LIVE)):
        with suppress(NotFound):
            host.call("StopJob", {"name": job["name"]})
    deadline = time.monotonic() + _PATIENCE
    while belonging(str(host.root)) and time.monotonic() < deadline:
        time.sleep(0.05)
    exterminate(str(host.root))


def _pages(host: Host, operation: str, kind: str, **query: Any) -> Iterator[dict[str, Any]]:
    token: str | None = None
    while True:
        page = host.call(operation, {**query, "page_token": token})
        yield from page[kind]
        token = page["next_token"]
        if not token:
            return
