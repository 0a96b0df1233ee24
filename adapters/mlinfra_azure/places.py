"""Names and addresses that several parts of the adapter must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from mlinfra.errors import CapabilityError, SpecError

if TYPE_CHECKING:
    from mlinfra.environment import Environment

PROVIDER = "Microsoft.MachineLearningServices"
BLOBS = ".blob."  # in the host of every storage account's blobs, in every cloud of Azure's


def workspace(environment: Environment) -> str:
    """The workspace's id, as Azure Resource Manager writes ids."""
    group = f"/subscriptions/{environment.account}/resourceGroups/{getattr(environment, 'resource_group', '')}"
    return f"{group}/providers/{PROVIDER}/workspaces/{getattr(environment, 'workspace', '')}"


def resource(environment: Environment, collection: str, *names: str) -> str:
    """The id of something in the workspace: `resource(environment, "jobs", "train-1")`."""
    return "/".join((workspace(environment), collection, *names))


def asset(environment: Environment, collection: str, name: str, version: str) -> str:
    """The id of a version of an asset: `asset(environment, "models", "churn", "3")`."""
    return resource(environment, collection, name, "versions", version)


def identity(environment: Environment, name: str) -> str:
    """The resource id of the managed identity that jobs (`trainer`) or servers (`server`) run as.

    Raises:
        SpecError: the environment names none.
    """
    found = environment.identities.get(name, "")
    if not found:
        raise SpecError(
            f"the environment names no managed identity for its {name}",
            given=environment.name,
            allowed="the resource id of a user-assigned identity",
            todo=f"name it in the environment: identities.{name}",
        )
    return found


def client_id(environment: Environment, name: str) -> str:
    """The client id of a managed identity, by which programs choose it; empty where it is not told."""
    return str((environment.native.get("client_ids") or {}).get(name, ""))


def vault(environment: Environment) -> str:
    """The address of the Key Vault that holds the environment's secrets.

    Raises:
        CapabilityError: the environment names none.
    """
    if not environment.vaults:
        raise CapabilityError(
            "the environment names no vault to read secrets from",
            given=environment.name,
            allowed="the address of a Key Vault: https://NAME.vault.azure.net",
            todo="name it in the environment: vaults.default",
        )
    return next(iter(environment.vaults.values())).rstrip("/")


def console(environment: Environment, path: str) -> str:
    """A page of Azure Machine Learning studio; an emulator has none."""
    if environment.emulated:
        return ""
    chosen = {"wsid": workspace(environment)}
    if tenant := environment.native.get("tenant"):
        chosen["tid"] = str(tenant)
    return f"https://ml.azure.com/{quote(path, safe='/:')}?{urlencode(chosen, safe='/')}"
