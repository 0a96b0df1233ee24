"""The stand-in providers' ports: one a package, on loopback, in this process; the engine attaches to them.

One set of servers outlives many runs of the engine. The ports are new at each start.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import grpc
from pulumi.runtime.proto import provider_pb2_grpc

from mlinfra.emulator.faults import Faults
from mlinfra.emulator.providers.introspect import MODULES
from mlinfra.emulator.providers.lifecycle import Lifecycle
from mlinfra.emulator.providers.rules import PACKAGES
from mlinfra.emulator.providers.servicer import Servicer
from mlinfra.emulator.providers.state import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mlinfra.emulator.provisioning import Provisioner

_THREADS = 64  # a call that is delayed on purpose holds one
_LARGEST_MESSAGE = 256 * 1024 * 1024
_GRACE = 2.0  # s for calls that are under way


class Providers:
    """Stand-ins for some packages over one state, in a folder of their own. Use it as a context manager.

    `provisioners` are the clouds in which resources really come to exist, by package. `faults` is the script of what
    goes wrong: `service` is the package, `operation` Create, Update, Read or Delete, and a rule may look at the body's
    `type` and `name`.
    """

    def __init__(
        self,
        folder: Path,
        packages: Iterable[str] = tuple(MODULES),
        provisioners: Mapping[str, Provisioner] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.state = State(folder / "providers.db")
        self.faults = Faults()
        self._packages = tuple(packages)
        self._provisioners = dict(provisioners or {})
        self._servers: list[Any] = []
        self.ports: dict[str, int] = {}

    def start(self) -> Self:
        """Open the ports."""
        for name in self._packages:
            package = PACKAGES[name]
            lifecycle = Lifecycle(package, self.state, self._provisioners.get(name))
            installed = version(MODULES[name].replace("_", "-"))
            servicer = Servicer(package, installed, self.state, lifecycle, self.faults)
            server = grpc.server(
                ThreadPoolExecutor(_THREADS, thread_name_prefix=f"provider-{name}"),
                options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)],
            )
            provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
            self.ports[name] = server.add_insecure_port("127.0.0.1:0")
            server.start()
            self._servers.append(server)
        return self

    def stop(self) -> None:
        """Close the ports. What has been made stays in the state. Safe to repeat."""
        ended = [server.stop(_GRACE) for server in self._servers]
        for event in ended:
            event.wait()
        self._servers.clear()
        self.state.close()

    def variables(self) -> dict[str, str]:
        """What makes the engine attach here instead of looking for plugins, or for an update of itself."""
        attached = ",".join(f"{name}:{port}" for name, port in self.ports.items())
        return {
            "PULUMI_DEBUG_PROVIDERS": attached,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()
