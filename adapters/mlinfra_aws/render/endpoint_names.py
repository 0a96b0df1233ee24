"""Names and tags by which what stands behind an endpoint is found again.

A model and an endpoint configuration cannot be changed in SageMaker, so their names carry a digest of their
content: the same content is never made twice, and other content never meets an old name. The double dashes, which
no name of a spec can hold, let a search by `NameContains` find those of one endpoint and of no other.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlinfra.spec import derive_name

if TYPE_CHECKING:
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

NAME_TAG = "mlinfra_endpoint"  # on the endpoint, its models and configurations: the spec's name
EXPIRES_TAG = "mlinfra_expires"  # on the endpoint: when `env sweep` may remove it
OWNER_TAG = "mlinfra_owner"  # on the endpoint: "stack" where a stack owns it whole
VARIANT_TAG = "mlinfra_variant_"  # on a configuration, with a variant's name: what that variant serves
STACK = "stack"
_DIGITS = 16


def physical_name(name: str, environment: Environment) -> str:
    """The spec's name and six digits of the environment."""
    return derive_name("endpoint", "aws", name, environment_id=environment.id)


def spec_name(physical_name: str, environment: Environment) -> str:
    """The inverse of `physical_name`: no endpoint's name is so long that it would be cut."""
    return physical_name.removesuffix(f"-{environment.suffix}")


def mark(physical_name: str) -> str:
    """What the names of all models, configurations and alarms of an endpoint hold, and no others."""
    return f"--{physical_name}--"


def content_name(physical_name: str, content: Document) -> str:
    """The name of the model or configuration with that content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"mlinfra{mark(physical_name)}{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def owner_of(content_name: str) -> str:
    """The physical name of the endpoint that a model, a configuration or an alarm was made for."""
    return content_name.split("--")[1]
