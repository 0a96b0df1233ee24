"""An emulator of Google Cloud for each test, and the vendor's own clients at it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import google.auth.transport.requests
import grpc
import pytest
from google.cloud import storage
from google.oauth2.credentials import Credentials

from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from mlinfra.environment import GcpEnvironment


@pytest.fixture
def emulator_settings() -> Settings:
    """How the emulator behaves; a test or a module may say otherwise."""
    return Settings(delays_scale=0.0, quotas=False)


@pytest.fixture
def emulator(tmp_path: Path, emulator_settings: Settings) -> Iterator[GcpEmulator]:
    with GcpEmulator(tmp_path / "emulator", emulator_settings) as running:
        yield running


@pytest.fixture
def environment(emulator: GcpEmulator) -> GcpEnvironment:
    return emulator.environment()


@pytest.fixture
def token(emulator: GcpEmulator, environment: GcpEnvironment) -> Callable[..., str]:
    """An access token: `token()`, or of another: `token("approver")`."""
    return lambda principal="deployer": emulator.credentials(principal).token


@pytest.fixture
def parent(emulator: GcpEmulator) -> str:
    """What jobs, models and endpoints are made in."""
    return f"projects/{emulator.project}/locations/{emulator.region}"


@pytest.fixture
def channel(emulator: GcpEmulator, token: Callable[..., str]) -> Iterator[Callable[..., grpc.Channel]]:
    """A gRPC channel in somebody's name: `channel()`, `channel("approver")`."""
    opened = []

    def make(principal: str = "deployer") -> grpc.Channel:
        root = grpc.ssl_channel_credentials(emulator.ca_file.read_bytes())
        mine = grpc.access_token_call_credentials(token(principal))
        opened.append(grpc.secure_channel(emulator.secure, grpc.composite_channel_credentials(root, mine)))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def client(channel: Callable[..., grpc.Channel]) -> Callable[..., Any]:
    """A GAPIC client over gRPC: `client("JobService")`, in the name of another: `client("JobService", "approver")`."""
    made: dict[tuple[str, str], Any] = {}

    def make(service: str, principal: str = "deployer") -> Any:
        if (service, principal) not in made:
            module = import_module("google.cloud.aiplatform_v1")
            kind = getattr(module, f"{service}Client")
            made[service, principal] = kind(transport=kind.get_transport_class("grpc")(channel=channel(principal)))
        return made[service, principal]

    return make


@pytest.fixture
def rest_client(
    emulator: GcpEmulator, token: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A GAPIC client over REST and TLS: `rest_client("ModelService")`."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))

    def make(service: str, principal: str = "deployer") -> Any:
        kind = getattr(import_module("google.cloud.aiplatform_v1"), f"{service}Client")
        return kind(
            transport="rest",
            credentials=Credentials(token(principal)),
            client_options={"api_endpoint": emulator.secure},
        )

    return make


@pytest.fixture
def storage_client(emulator: GcpEmulator, token: Callable[..., str]) -> Callable[..., storage.Client]:
    """google-cloud-storage: `storage_client()`, or in the name of another: `storage_client("trainer")`."""
    return lambda principal="deployer": storage.Client(
        project=emulator.project,
        credentials=Credentials(token(principal)),
        client_options={"api_endpoint": emulator.url},
    )


@pytest.fixture
def session(emulator: GcpEmulator, token: Callable[..., str]) -> Callable[..., Any]:
    """google-auth's HTTP session, for the services that are asked over plain REST: `session("trainer")`."""
    return lambda principal="deployer": google.auth.transport.requests.AuthorizedSession(Credentials(token(principal)))


@pytest.fixture
def bucket(environment: GcpEnvironment) -> str:
    """The bucket of the environment's artefacts and data; the deployer may write below `data/`."""
    return environment.stores["data"].uri.removeprefix("gs://").partition("/")[0]


@pytest.fixture
def account(environment: GcpEnvironment) -> str:
    """The trainer's service account, which jobs run as."""
    return environment.identities["trainer"]
