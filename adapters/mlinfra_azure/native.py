"""azure-ai-ml's own objects for whoever needs more than the kit has; imported only when asked for.

Its client takes subscription, group, workspace and credentials. Another address than the vendor's own is a cloud of its
own to it, which it keeps for the whole process, and another certificate authority is known to a variable of requests
alone: an environment with addresses of its own sets both. Making an object reads its resource once.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlinfra.environment import Environment

_AUTHORITIES = "REQUESTS_CA_BUNDLE"


class Access(NamedTuple):
    """Credentials as azure-core has them, and a file with the authority to trust where it is not the system's."""

    credentials: Any
    authority: str = ""


def resource(kind: str, native_id: str, environment: Environment, access: Access) -> Any:
    """The vendor's object for a thing of the kit, read once.

    Raises:
        CapabilityError: the vendor has no such kind.
    """
    if kind not in _READERS:
        raise CapabilityError("azure-ai-ml has no such object", given=kind, allowed=", ".join(_READERS))
    return _READERS[kind](_client(kind, environment, access), native_id)


def _client(kind: str, environment: Environment, access: Access) -> Any:
    vendor = import_module("azure.ai.ml")
    if access.authority:
        os.environ.setdefault(_AUTHORITIES, access.authority)
    shared = getattr(environment, "registry", "") if kind == "model" else ""
    place = {
        "subscription_id": environment.account,
        "resource_group_name": getattr(environment, "resource_group", ""),
        **({"registry_name": shared} if shared else {"workspace_name": getattr(environment, "workspace", "")}),
    }
    return vendor.MLClient(access.credentials, enable_telemetry=False, **place, **_cloud(environment))


def _cloud(environment: Environment) -> dict[str, Any]:
    """The environment's own addresses, as a cloud; nothing for the public one."""
    management = environment.endpoints.get("management", "").rstrip("/")
    if not management:
        return {}
    login = environment.endpoints.get("login", management).rstrip("/")
    return {
        "cloud": f"mlinfra-{management.partition('//')[2]}",
        "cloud_metadata": {
            "azure_portal": "https://portal.azure.com/",
            "resource_manager": f"{management}/",
            "active_directory": f"{login}/",
            "aml_resource_id": "https://ml.azure.com/",
            "storage_endpoint": "core.windows.net",
            "registry_discovery_endpoint": f"{management}/",
        },
    }


def _model(client: Any, native_id: str) -> Any:
    """By the id of a version: `…/models/<name>/versions/<version>`."""
    path, _, version = native_id.rpartition("/versions/")
    return client.models.get(path.rpartition("/")[2], version)


# Kind of the kit -> how to read the vendor's object.
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "job": lambda client, native_id: client.jobs.get(native_id),
    "model": _model,
    "endpoint": lambda client, native_id: client.online_endpoints.get(native_id),
}
