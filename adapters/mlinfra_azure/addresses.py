"""Where Azure's services answer, and whom a token must be for. From their REST references; the public cloud's.

A sovereign cloud's addresses stand among the environment's `endpoints`, as an emulator's do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

ADDRESSES: Mapping[str, str] = {
    "history": "https://{region}.api.azureml.ms",
    "management": "https://management.azure.com",
    "monitor": "https://management.azure.com",
}
_MANAGEMENT = "https://management.azure.com/.default"
LOGIN_AUDIENCES: Mapping[str, str] = {  # service -> the scope of its tokens
    "blob": "https://storage.azure.com/.default",
    "history": _MANAGEMENT,
    "management": _MANAGEMENT,
    "monitor": _MANAGEMENT,
    "scoring": "https://ml.azure.com/.default",
}
HISTORY_PATH = "/history/v1.0{workspace}/runs/{run}/details"


def address(environment: Environment, service: str) -> str:
    """The address of a service, without a slash at its end.

    Raises:
        CapabilityError: an emulator that does not play it.
    """
    given = environment.endpoints.get(service)
    if given is not None:
        return given.rstrip("/")
    if environment.emulated:
        raise CapabilityError(
            f"the emulator of {environment.name} has no service {service}",
            given=service,
            allowed=", ".join(sorted(environment.endpoints)),
        )
    return ADDRESSES[service].format(region=environment.region)


def vault_address(environment: Environment, vault: str) -> str:
    """Where a Key Vault answers: its own host, or below one address of an emulator's."""
    below = environment.endpoints.get("vault", "").rstrip("/")
    name = vault.removeprefix("https://").partition(".")[0]
    return f"{below}/{name}" if below else vault.rstrip("/")


def is_container_registry(host: str) -> bool:
    """Whether a registry is Azure's, in any of its clouds."""
    name = host.partition(":")[0]
    return name.endswith((".azurecr.io", ".azurecr.cn", ".azurecr.us"))
