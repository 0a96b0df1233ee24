"""Physical names, known before anything exists: roles and bindings can name what they are about.

Names carry six digits of the environment's id, so that two environments never meet in a project.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.infra.gcp.configuration import GcpConfiguration

_ENDPOINT_DIGITS = 9  # what the service takes of digits alone, without a leading zero; its provider would take ten
Document = dict[str, Any]


def own(configuration: GcpConfiguration, use: str = "") -> str:
    """`mlinfra-risk-dev-artefacts-1a2b3c`, at most 59 characters: buckets, networks, repositories, sinks."""
    parts = ("mlinfra", configuration.name, *([use] if use else []), configuration.suffix)
    return "-".join(parts)


def bucket(configuration: GcpConfiguration, use: str) -> str:
    """The bucket for a use, which is adopted where the configuration names one."""
    adopted = {str(kind): name for kind, name in configuration.adopt.buckets.items()}
    return adopted.get(use) or own(configuration, use)


def account_id(configuration: GcpConfiguration, identity: str) -> str:
    """A service account's id, which has at most 30 characters: the environment's name does not fit."""
    return f"mlinfra-{identity}-{configuration.suffix}"


def email(configuration: GcpConfiguration, identity: str) -> str:
    """The e-mail that the service account will have, or has where it is adopted."""
    adopted = {str(name): address for name, address in configuration.adopt.service_accounts.items()}.get(identity)
    return adopted or f"{account_id(configuration, identity)}@{configuration.account}.iam.gserviceaccount.com"


def registry(configuration: GcpConfiguration, repository: str) -> str:
    """The address of a repository of images."""
    return f"{configuration.region}-docker.pkg.dev/{configuration.account}/{repository}"


def endpoint_id(configuration: GcpConfiguration, endpoint: str) -> str:
    """The digits by which a shell is known, the same at every run."""
    number = int(hashlib.sha256(f"{configuration.native_id}:{endpoint}".encode()).hexdigest(), 16)
    least = 10 ** (_ENDPOINT_DIGITS - 1)
    return str(least + number % (9 * least))


def labels(configuration: GcpConfiguration) -> dict[str, str]:
    """The environment's tags as labels, and those by which the kit finds its own.

    `mlinfra_environment` is the suffix, as the adapter's labels have it.
    """
    tags = {key.lower(): value.lower() for key, value in configuration.tags.items()}
    return {**tags, "mlinfra_environment": configuration.suffix, "mlinfra_stage": configuration.stage}
