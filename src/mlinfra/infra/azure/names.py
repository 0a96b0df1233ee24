"""Physical names, known before anything exists. Storage, vaults and registries are unique across all of Azure.

Names carry six digits of the environment's id, so that two environments never meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from mlinfra.spec.names import derive_name

if TYPE_CHECKING:
    from mlinfra.infra.azure.configuration import AzureConfiguration

Document = dict[str, Any]
_COMPACT = 14  # characters of the environment's name in names of at most 24 without dashes


def own(configuration: AzureConfiguration, use: str = "") -> str:
    """`mlinfra-risk-dev-logs-1a2b3c`: for what may be long."""
    return "-".join(("mlinfra", configuration.name, *([use] if use else []), configuration.suffix))


def compact(configuration: AzureConfiguration, use: str) -> str:
    """Three letters for the use, the name without dashes, six digits: at most 24 characters."""
    short = configuration.name.replace("-", "")[:_COMPACT]
    return f"{use[:3]}{short}{configuration.suffix}"


def group_id(configuration: AzureConfiguration) -> str:
    """The resource group's id."""
    return f"/subscriptions/{configuration.account}/resourceGroups/{configuration.resource_group}"


def identity_id(configuration: AzureConfiguration, identity: str) -> str:
    """The id that an identity will have, or has where it is adopted."""
    adopted = {str(name): native_id for name, native_id in configuration.adopt.identities.items()}.get(identity)
    kind = f"{group_id(configuration)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
    return adopted or f"{kind}/{own(configuration, identity)}"


def vault_uri(vault: str) -> str:
    """The address of a vault, by its name."""
    return f"https://{vault}.vault.azure.net/"


def place(native_id: str) -> tuple[str, str]:
    """The resource group in which a resource lies, and its name, by its id."""
    return native_id.split("/")[4], native_id.rpartition("/")[2]


def assignment(configuration: AzureConfiguration, *parts: str) -> str:
    """The name of a role or an assignment, which must be a GUID and the same at every run."""
    return str(uuid5(NAMESPACE_URL, "|".join((configuration.native_id, *parts))))


def role(configuration: AzureConfiguration, definition: str) -> str:
    """A built-in role by its GUID, as assignments name it."""
    return f"/subscriptions/{configuration.account}/providers/Microsoft.Authorization/roleDefinitions/{definition}"


def endpoint(configuration: AzureConfiguration, name: str) -> str:
    """An endpoint's name, which is unique in its region among all customers."""
    return derive_name("endpoint", "azure", name, environment_id=configuration.native_id)


def model(configuration: AzureConfiguration, name: str) -> str:
    """What the workspace calls a model of the environment, as the adapter has registered it."""
    return derive_name("model", "azure", name, configuration.suffix)


def workspace_id(configuration: AzureConfiguration) -> str:
    """The workspace's id."""
    kind = f"{group_id(configuration)}/providers/Microsoft.MachineLearningServices/workspaces"
    return f"{kind}/{configuration.workspace}"


def cluster(name: str) -> str:
    """A cluster's name, which has 2 to 16 characters."""
    return name[:16].rstrip("-")
