"""Names and labels by which what stands behind an endpoint is found again.

A deployed model bears no labels, so its display name says which deployment it is, of which identity, at which attempt.
The model that it serves is made for it alone; that one's labels name the endpoint, and its text what it serves. Its id
carries a digest of its content: the same content is never made twice, and other content never meets an old name.

A stack's endpoint shell has an id of digits (the vendor's provider takes no other), so the environment names it:
`native.shells`, endpoint name -> id.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, NamedTuple

from mlinfra.contract.jobs import ID_TAG
from mlinfra.spec import derive_name
from mlinfra_gcp.places import resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.endpoints import DeploymentDesired
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

NAME = "mlinfra_endpoint"  # on the endpoint: the spec's name
EXPIRES = "mlinfra_expires"  # on the endpoint: when `env sweep` may remove it, in seconds since 1970
OWNER = "mlinfra_owner"  # on the endpoint: "stack" where a stack owns it whole
BEHIND = "mlinfra_behind"  # on a model: the endpoint that it was made for, by its physical name
STACK = "stack"
SHELLS = "shells"  # in the environment's `native`
_DIGITS = 16  # hex digits of a content
_DEPLOYED_DIGITS = 10  # the longest id that DeployedModel.id may have (API description)
_TITLE = re.compile(r"(?P<name>\S+) (?P<id>[0-9a-f]{40}) (?P<attempt>\d+)")


class Serves(NamedTuple):
    """What a deployment's model serves, as its text tells it."""

    deployment: str
    model: str = ""
    version: str = ""
    digest: str = ""


def physical_name(name: str, environment: Environment) -> str:
    """The spec's name and six digits of the environment."""
    return derive_name("endpoint", "gcp", name, environment_id=environment.id)


def spec_name(endpoint_id: str, environment: Environment) -> str:
    """The inverse of `physical_name`: no endpoint's name is so long that it would be cut."""
    shells = {own_id: name for name, own_id in _shells(environment).items()}
    return shells.get(endpoint_id) or endpoint_id.removesuffix(f"-{environment.suffix}")


def physical_of(endpoint_id: str, environment: Environment) -> str:
    """The physical name of the endpoint with that id."""
    return physical_name(spec_name(endpoint_id, environment), environment)


def endpoint_id(physical_name: str, environment: Environment) -> str:
    """The endpoint's own id: its physical name, or that of the stack's shell."""
    return _shells(environment).get(physical_name.removesuffix(f"-{environment.suffix}"), physical_name)


def endpoint_name(physical_name: str, environment: Environment) -> str:
    """The endpoint's resource name."""
    return resource(environment, "endpoints", endpoint_id(physical_name, environment))


def model_id(physical_name: str, content: Document) -> str:
    """The id of the model with that content, within 63 characters."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f"mlinfra-{physical_name}-{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def serves_text(deployment: DeploymentDesired) -> str:
    """What a model's text says of the deployment that it was made for."""
    return f"{deployment.name} {deployment.model}:{deployment.version} {deployment.digest}"


def served(text: str) -> Serves:
    """The inverse of `serves_text`; a text that is none of the kit's names nobody."""
    parts = text.split(" ")
    if len(parts) != 3 or ":" not in parts[1]:  # noqa: PLR2004  the three words of `serves_text`
        return Serves("")
    model, _, version = parts[1].partition(":")
    return Serves(parts[0], model, version, parts[2])


def title(deployment: DeploymentDesired, attempt: int) -> str:
    """A deployed model's display name, within 128 characters."""
    return f"{deployment.name} {deployment.tags[ID_TAG]} {attempt}"


def deployment_of(display_name: str) -> str:
    """The deployment that a display name tells of; one that is none of the kit's stands for itself."""
    found = _TITLE.fullmatch(display_name)
    return found["name"] if found else display_name


def identity_of(display_name: str) -> str:
    """The identity's 40 digits in a display name; empty where it is none of the kit's."""
    found = _TITLE.fullmatch(display_name)
    return found["id"] if found else ""


def deployed_id(title: str, made: str) -> str:
    """An id for a deployed model: ten digits that follow from its display name and from when its model was made."""
    number = int(hashlib.sha256(f"{title}\n{made}".encode()).hexdigest(), 16)
    least = 10 ** (_DEPLOYED_DIGITS - 1)
    return str(least + number % (9 * least))


def _shells(environment: Environment) -> Mapping[str, str]:
    return {str(name): str(own_id) for name, own_id in (environment.native.get(SHELLS) or {}).items()}
