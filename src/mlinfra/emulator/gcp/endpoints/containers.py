"""What a model's container becomes on this machine: a program, its variables, its routes.

After the guide "Custom container requirements" (version 1.0.0 of them) and the description of ModelContainerSpec in
google-cloud-aiplatform. A container is a process; its image stands for a program that was registered with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.endpoints.expansion import environment, expanded
from mlinfra.emulator.gcp.endpoints.machines import USUAL
from mlinfra.emulator.hosting.hosting import PORT, Server
from mlinfra.emulator.programs import KIT_SERVER, PYTHON
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.programs import Contents

_INTERPRETER = re.compile(r"(/usr(/local)?/bin/)?python(3(\.\d+)?)?")
_DEFAULT_ROUTE = "/v1/endpoints/{endpoint}/deployedModels/{deployed}"
_USUAL_TIMEOUT = 1800.0  # s that a deployment may take where the container does not say; not published


@dataclass(frozen=True)
class Where:
    """What a container is told of the place it runs in."""

    project_number: str
    endpoint: str
    deployed: str
    storage_uri: str  # the copy of the model's artifacts; empty where it has none


@dataclass(frozen=True)
class Container:
    """One container of a deployed model, resolved. A later change or deletion of the model does not touch it."""

    server: Server
    predict_route: str
    timeout: float  # virtual s until it has to be ready


def container(spec: Any, deployed: Any, contents: Contents, where: Where, own: Mapping[str, str]) -> Container:
    """The container of a ModelContainerSpec, deployed as a DeployedModel says.

    `own` are variables by which the emulator stands for the machine around a container; they win.
    """
    platform = _platform(spec, deployed, where)
    variables = environment(platform, [(each.name, each.value) for each in spec.env])
    command = _command(spec, contents, variables)
    seconds = spec.deployment_timeout.total_seconds() if "deployment_timeout" in spec else _USUAL_TIMEOUT
    return Container(
        server=Server(
            command=command,
            environment={**variables, **own, "AIP_HTTP_PORT": PORT},
            python=contents.python or None,
            requirements_lock=contents.requirements_lock or None,
            health_route=platform["AIP_HEALTH_ROUTE"],
        ),
        predict_route=platform["AIP_PREDICT_ROUTE"],
        timeout=seconds or _USUAL_TIMEOUT,
    )


def _platform(spec: Any, deployed: Any, where: Where) -> dict[str, str]:
    """The variables that Vertex AI sets."""
    route = _DEFAULT_ROUTE.format(endpoint=where.endpoint, deployed=where.deployed)
    machine = deployed.dedicated_resources.machine_spec
    found = {
        "AIP_DEPLOYED_MODEL_ID": where.deployed,
        "AIP_ENDPOINT_ID": where.endpoint,
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_HEALTH_ROUTE": spec.health_route or route,
        "AIP_HTTP_PORT": PORT,
        "AIP_MACHINE_TYPE": machine.machine_type or USUAL,
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_MODEL_NAME": where.endpoint,
        "AIP_PREDICT_ROUTE": spec.predict_route or f"{route}:predict",
        "AIP_PROJECT_NUMBER": where.project_number,
        "AIP_STORAGE_URI": where.storage_uri,
        "AIP_VERSION_NAME": where.deployed,
    }
    if machine.accelerator_type:
        found["AIP_ACCELERATOR_TYPE"] = machine.accelerator_type.name
    return found


def _command(spec: Any, contents: Contents, variables: Mapping[str, str]) -> tuple[str, ...]:
    """What runs: the container's own words, or else the program of the image."""
    asked = [expanded(part, variables) for part in spec.command]
    arguments = [expanded(part, variables) for part in spec.args]
    if asked:
        command = (PYTHON if _INTERPRETER.fullmatch(asked[0]) else asked[0], *asked[1:])
    elif contents.command:
        command = contents.command
    else:
        return tuple(arguments) or (PYTHON,)
    return (*command, *_loopback(command), *arguments)


def _loopback(command: tuple[str, ...]) -> tuple[str, ...]:
    """The kit's server listens where nobody but this machine reaches it."""
    return ("--host", LOOPBACK) if command[: len(KIT_SERVER)] == KIT_SERVER else ()
