"""The vendor's client of blob storage, and one that is nobody's in particular, at the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient
from obstore.store import AzureStore

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "parcels"


@pytest.fixture
def account(environment) -> str:
    """The account of the environment's stores."""
    return environment.stores["data"].uri.removeprefix("https://").partition(".")[0]


@pytest.fixture
def base(emulator, account) -> str:
    """The address of a container that nobody has rights on but those whom a test gives some."""
    emulator.storage.create_container(account, NAME)
    return f"https://{account}.blob.core.windows.net/{NAME}"


@pytest.fixture
def everything(emulator, environment, account, base) -> None:
    """Let the deployer do all that one may with blobs and containers."""
    del base
    scope = emulator.place.id("Microsoft.Storage", "storageAccounts", account)
    owner = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"  # Storage Blob Data Owner
    emulator.assignments.assign(emulator.credentials().principal.object_id, owner, scope)


@pytest.fixture
def service(emulator, everything, account, credential, monkeypatch) -> BlobServiceClient:
    """The vendor's client of the account, in the deployer's name."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.ca_file))
    return BlobServiceClient(f"{emulator.secure}/{account}", credential=credential())


@pytest.fixture
def parcels(service) -> ContainerClient:
    """The vendor's client of a container."""
    return service.get_container_client(NAME)


@pytest.fixture
def store(emulator, everything, account, token) -> Callable[..., AzureStore]:
    """obstore's client of a container: `store()`, in the name of another: `store("trainer")`."""

    def make(principal: str = "deployer", **options: Any) -> AzureStore:
        return AzureStore(
            NAME,
            account_name=account,
            endpoint=f"{emulator.url}/{account}",
            bearer_token=token(principal),
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            **options,
        )

    return make
