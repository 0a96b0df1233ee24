"""Names and addresses that several parts of the adapter must agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from mlinfra.contract.locations import ARTEFACTS
from mlinfra.errors import CapabilityError, SpecError

if TYPE_CHECKING:
    from mlinfra.environment import Environment


def kms_key(environment: Environment, name: str = ARTEFACTS) -> str:
    """The key that encrypts a store, empty for the bucket's own."""
    location = environment.stores.get(name)
    return environment.keys.get(location.key, "") if location and location.key else ""


def role(environment: Environment, identity: str) -> str:
    """The ARN of the role that jobs (`trainer`) or servers (`server`) run as.

    Raises:
        SpecError: the environment names none.
    """
    found = environment.identities.get(identity, "")
    if not found:
        raise SpecError(
            f"the environment names no role for its {identity}",
            given=environment.name,
            allowed="an IAM role's ARN",
            todo=f"name it in the environment: identities.{identity}",
        )
    return found


def vault(environment: Environment) -> str:
    """How the names of the environment's secrets begin in Secrets Manager.

    Raises:
        CapabilityError: the environment names no vault.
    """
    if not environment.vaults:
        raise CapabilityError(
            "the environment names no vault to read secrets from",
            given=environment.name,
            allowed="how the names of its secrets begin in Secrets Manager, such as `mlinfra/risk-prod/`",
            todo="name it in the environment: vaults.main",
        )
    return next(iter(environment.vaults.values()))


def vault_address(environment: Environment) -> str:
    """Where Secrets Manager answers: the environment's own address, else the region's."""
    domain = "amazonaws.com.cn" if environment.region.startswith("cn-") else "amazonaws.com"
    own = f"https://secretsmanager.{environment.region}.{domain}"
    return environment.endpoints.get("secretsmanager", own).rstrip("/")


def console(environment: Environment, path: str) -> str:
    """A page of the AWS console; an emulator has none."""
    if environment.emulated:
        return ""
    region = environment.region
    return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/{quote(path, safe='/')}"
