"""What every emulated cloud has: time, desk, metrics, a host that does the work, a server, a life cycle."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from functools import cached_property
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mlinfra.emulator.admin import PREFIX, Admin
from mlinfra.emulator.clock import Clock
from mlinfra.emulator.desk import Desk
from mlinfra.emulator.faults import Faults
from mlinfra.emulator.hostwork import IsolatedHost, end_all
from mlinfra.emulator.ledger import Ledger
from mlinfra.emulator.metrics import Series
from mlinfra.emulator.policy import Policy
from mlinfra.emulator.quotas import Quotas
from mlinfra.emulator.server import HttpServer
from mlinfra.emulator.settings import Settings
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from mlinfra.emulator.calls import Wording
    from mlinfra.emulator.operations import Fidelity
    from mlinfra.emulator.providers import Providers
    from mlinfra.emulator.provisioning import Provisioner
    from mlinfra.environment import Environment
    from mlinfra.host import Host, Image


class Emulator(ABC):
    """One cloud in one folder. Its resources live in memory and below the folder, and end with `stop`.

    Jobs and servers run through `host`. Use it as a context manager, or `start` and `stop` it.
    """

    platform: ClassVar[str]
    wording: ClassVar[Wording]

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        self.folder = folder.absolute()
        self.settings = settings or Settings()
        self.token = secrets.token_urlsafe(24)
        self.clock = Clock(self.settings.speed)
        self.faults = Faults(self.settings.faults)
        self.quotas = Quotas(self.clock, enforced=self.settings.quotas)
        self.policy = Policy()
        self.ledger = Ledger()
        self.metrics = Series(self.clock, self.settings.metric_delay)
        self.desk = Desk(
            clock=self.clock,
            faults=self.faults,
            quotas=self.quotas,
            policy=self.policy,
            ledger=self.ledger,
            wording=self.wording,
            enforce=self.settings.enforce_policy,
        )
        self.asked_to_stop = Event()
        self.server = HttpServer(self._application, port=self.settings.port)
        self._admin = Admin(self)
        self._providers: Providers | None = None

    @classmethod
    @abstractmethod
    def operations(cls) -> Iterable[Fidelity]:
        """Every operation of the services that it plays, emulated or not, for the fidelity table."""

    @abstractmethod
    def respond(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one HTTP request in the vendor's protocol. Cut ends the connection without an answer."""

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """The environment variables that point any of the vendor's clients here. Only while it runs."""

    @abstractmethod
    def seed(self, environment: Environment) -> Environment:
        """Create what a stack would have created. Returns the environment with the addresses filled in.

        Safe to repeat.

        Raises:
            SpecError: it is an environment of another platform.
        """

    @abstractmethod
    def environment(self, name: str = "", **changes: Any) -> Environment:
        """A made-up environment, `<platform>-emulated` unless named, seeded. `changes` are fields of the document."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """The resources that carry the kit's tag, or were made through it, and are still there."""

    def provisioner(self) -> tuple[str, Provisioner] | None:
        """Pulumi's package whose resources can exist here, and what makes them; None where none can."""
        return None

    def attach(self) -> dict[str, str]:
        """Open stand-in providers for stacks whose resources are to exist here. Returns what leads an engine to them.

        Safe to repeat: there is one of them an emulator.

        Raises:
            CapabilityError: this cloud takes no resources of stacks, or Pulumi's packages are not installed.
        """
        known = self.provisioner()
        if known is None or find_spec("pulumi") is None:
            raise CapabilityError(
                "no stack can make resources in this emulator",
                given=self.platform,
                allowed="an emulator that takes them, with Pulumi's packages installed",
                todo=f"pip install 'mlinfra-kit[infra-{self.platform}]'" if known else "use the stand-ins' own state",
            )
        from mlinfra.emulator.providers import Providers  # noqa: PLC0415  most emulators see no stack

        if self._providers is None:
            package, made_by = known
            self._providers = Providers(self.folder / "providers", [package], {package: made_by}).start()
        return self._providers.variables()

    def images(self) -> Mapping[str, Image]:
        """What `image:` may name on the host: by default nothing."""
        return {}

    def opened(self) -> None:  # noqa: B027  a hook that not every cloud needs
        """Called before the port opens: bring up what the services need."""

    def closed(self) -> None:  # noqa: B027  a hook that not every cloud needs
        """Called once the port is closed, before the host's work is ended: end threads and servers of its own."""

    def admin(self, request: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer a request below /_mlinfra/ that is this cloud's alone; None where it has no such."""
        del request, body
        return None

    @cached_property
    def host(self) -> Host:
        """The machine at hand, which does the work."""
        return IsolatedHost(self.folder / "host", self.folder / "home", self.images())

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self.server.url

    def start(self) -> Self:
        """Open the port. OSError where it is taken."""
        self.opened()
        self.server.start()
        return self

    def stop(self) -> None:
        """Close the port and end every job and server that was started. Safe to repeat."""
        self.asked_to_stop.set()
        if self._providers is not None:
            self._providers.stop()
            self._providers = None
        self.server.stop()
        self.closed()
        if (self.folder / "host").exists():
            end_all(self.host)
            self.host.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(PREFIX):
            return self._admin.respond(environ, start_response)
        return self.respond(environ, start_response)
