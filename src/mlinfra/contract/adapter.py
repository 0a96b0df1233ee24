"""What an adapter is: a name, a contract version, capabilities, and modules that are imported when needed.

Adapters are found through the entry-point group `mlinfra.adapters`, ours like a stranger's. Looking at an
adapter imports no vendor SDK; only `connect` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from mlinfra.contract.endpoints import EndpointObserver
from mlinfra.contract.jobs import JobObserver
from mlinfra.contract.models import ModelObserver
from mlinfra.contract.runs import RunObserver
from mlinfra.errors import CapabilityError, KitFault, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.capabilities import Capabilities
    from mlinfra.contract.endpoints import EndpointRenderer
    from mlinfra.contract.jobs import JobRenderer
    from mlinfra.contract.models import ModelRenderer
    from mlinfra.contract.requests import Document, Request
    from mlinfra.contract.runs import RunRenderer
    from mlinfra.contract.store import Store
    from mlinfra.environment import Environment

CONTRACT_VERSION = 1
ENTRY_POINTS = "mlinfra.adapters"


@dataclass(frozen=True)
class Caller:
    """Who the platform says we are. `account` is compared with the environment's before the first effect."""

    account: str
    principal: str


@dataclass(frozen=True)
class Rate:
    """A quota: `per_second` calls on average, `burst` at once. One bucket per environment and quota name."""

    per_second: float
    burst: int = 1


@dataclass(frozen=True)
class RegistryLogin:
    """What a platform gives whoever wants to log in to one of its container registries; `images.login` does the rest.

    `scheme` says what `token` is:

    - `ecr`: `authorizationData[0].authorizationToken` of ECR's GetAuthorizationToken.
    - `google`: an OAuth access token for Artifact Registry.
    - `azure`: an Azure AD access token for the registry, to be exchanged there; `tenant` is the directory's id.
    - `basic`: a password, of `user`.
    """

    scheme: str
    token: str = field(repr=False)
    user: str = ""
    tenant: str = ""


@runtime_checkable
class RegistryClient(Protocol):
    """A client that can log in to its platform's container registries as well. Optional: who lacks it has none."""

    def registry_login(self, registry: str) -> RegistryLogin | None:
        """The way into a registry, named by its host (with its port, if any), as who calls; None where it is not ours.

        "Not ours" needs no call: what the host's name says is enough, and Docker's own logins are then asked. An
        emulated environment's client answers for hosts of this machine alone. Else one call of the platform, safe to
        repeat; blocks as `send` does. Several registries may be asked for, from several threads.

        Raises:
            MlinfraError: the vendor's error; a `Denied` lets Docker's own logins be tried.
        """


class Client(Protocol):
    """The only door to a platform. Safe to use from several threads."""

    def caller(self) -> Caller:
        """Who we are. One call of the platform."""

    def send(self, request: Request) -> Document:
        """Send one request and return its reply as a JSON document.

        Blocks, at most 60 s (a transfer: while bytes flow). Uses no retry, no waiter and no SDK polling.

        Raises:
            MlinfraError: the vendor's error, mapped by the adapter's table. A `TemporaryError` with `sent=False`
                certainly had no effect.
        """

    def store(self, name: str = "artefacts") -> Store:
        """One of the environment's object stores.

        Raises:
            NotFound: the environment names no such store.
        """

    def native(self, kind: str, native_id: str) -> Any:
        """The vendor SDK's own object for a job, version or endpoint.

        Raises:
            CapabilityError: the extra `vendor-sdks` is not installed, or the vendor has none.
        """

    def close(self) -> None:
        """Let go of connections. Safe to repeat."""


class Config(Protocol):
    """The module `config.py`: this platform's part of a spec, checked against its published schema."""

    QUOTAS: Mapping[str, Rate]

    def check_overrides(self, overrides: Mapping[str, Any], environment: Environment | None) -> None:
        """Refuse unknown operations and members, what the kit owns, and what weakens a production stage.

        Raises:
            SpecError: names the key and the nearest valid one.
        """

    def check_request(self, request: Request) -> None:
        """Validate a request offline against `schema.json`. References and files count as of the right type.

        Raises:
            SpecError: an override made it invalid.
        """


class Permissions(Protocol):
    """The part of the module `config.py` that knows rights."""

    def permissions(self, environment: Environment) -> Mapping[str, list[str]]:
        """Identity (caller, trainer, server, approver) -> actions that the kit will use."""

    def policy(self, environment: Environment) -> Document:
        """The policy document to hand to an administrator, in the platform's own form."""


@dataclass(frozen=True)
class Adapter:
    """A platform, known to the core by its name alone. `title` is that name as people write it.

    `package` is the Python package that holds the modules; `sdk` a module of the vendor's SDK by which to see
    whether `extra` is installed. `at_hand`: jobs run on the client's own machine, with its interpreters. `names_jobs`:
    a job has the name that the kit gives it, and submitting one that is there already answers with it as it stands, so
    that nothing need be listed before.
    """

    platform: str
    contract: int
    package: str
    capabilities: Capabilities
    extra: str = ""
    sdk: str = ""
    title: str = ""
    at_hand: bool = False
    names_jobs: bool = False

    @property
    def jobs(self) -> JobRenderer:
        """`render/jobs.py`."""
        return cast("JobRenderer", self._module("render.jobs"))

    @property
    def runs(self) -> RunRenderer:
        """The part of `render/jobs.py` that reads runs."""
        return cast("RunRenderer", self._module("render.jobs"))

    @property
    def models(self) -> ModelRenderer:
        """`render/models.py`."""
        return cast("ModelRenderer", self._module("render.models"))

    @property
    def endpoints(self) -> EndpointRenderer:
        """`render/endpoints.py`."""
        return cast("EndpointRenderer", self._module("render.endpoints"))

    @property
    def observe(self) -> Observer:
        """`observe.py`."""
        return cast("Observer", self._module("observe"))

    @property
    def config(self) -> ConfigModule:
        """`config.py`."""
        return cast("ConfigModule", self._module("config"))

    def connect(self, environment: Environment) -> Client:
        """Import the vendor's SDK and make a client. Sends nothing.

        Raises:
            CapabilityError: the SDK is not installed; names the install command.
        """
        if self.sdk and not _is_installed(self.sdk):
            raise CapabilityError(
                f"the SDK of platform {self.platform} is not installed",
                given=self.sdk,
                todo=f"pip install 'mlinfra-kit[{self.extra}]'",
            )
        return cast("Client", self._module("client").connect(environment))

    def _module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")


class Observer(JobObserver, RunObserver, ModelObserver, EndpointObserver, Protocol):
    """The module `observe.py`."""


class ConfigModule(Config, Permissions, Protocol):
    """The module `config.py`."""


def _is_installed(module: str) -> bool:
    """Whether a module could be imported; of one inside another that is missing, no."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def platforms() -> list[str]:
    """The names of all installed adapters, sorted."""
    return sorted({entry.name for entry in metadata.entry_points(group=ENTRY_POINTS)})


def load(platform: str) -> Adapter:
    """The adapter of a platform.

    Raises:
        NotFound: no installed package registers that platform.
        KitFault: two packages do, or it speaks another version of the contract.
        ImportError: it is installed but broken; the trace is the message.
    """
    entries = list(metadata.entry_points(group=ENTRY_POINTS, name=platform))
    if not entries:
        raise NotFound(
            "no adapter is installed for this platform",
            given=platform,
            allowed=", ".join(platforms()),
            todo="correct the environment's `platform`, or install the package that brings its adapter",
        )
    targets = {entry.value for entry in entries}
    if len(targets) > 1:
        raise KitFault(f"platform {platform} is claimed by {' and '.join(sorted(targets))}; uninstall one of them")
    adapter: Adapter = entries[0].load()
    if adapter.contract != CONTRACT_VERSION:
        raise KitFault(
            f"the adapter for {platform} speaks contract {adapter.contract}, this kit speaks {CONTRACT_VERSION}; "
            "install versions that fit"
        )
    return adapter
