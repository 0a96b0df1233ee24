"""Physical names, known before anything exists. Storage, vaults and registries are unique across all of Azure.

Names carry six digits of the environment's id, so that two environments never meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

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


def assignment(configuration: AzureConfiguration, *parts: str) -> str:
    """The name of a role or an assignment, which must be a GUID and the same at every run."""
    return str(uuid5(NAMESPACE_URL, "|".join((configuration.native_id, *parts))))


def role(configuration: AzureConfiguration, definition: str) -> str:
    """A built-in role by its GUID, as assignments name it."""
    return f"/subscriptions/{configuration.account}/providers/Microsoft.Authorization/roleDefinitions/{definition}"


def cluster(name: str) -> str:
    """A cluster's name, which has 2 to 16 characters."""
    return name[:16].rstrip("-")
