"""What a deployment's container becomes on this machine: a program, its variables, its routes.

After the guides "Use a custom container to deploy a model to an online endpoint" (routes, where the model is mounted)
and "Specify model to deploy" (AZUREML_MODEL_DIR). A container is a process; its image stands for a program that was
registered with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.emulator.azure.endpoints import settings
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.hosting.hosting import PORT, Server
from mlinfra.emulator.programs import KIT_SERVER
from mlinfra.host import isolation
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.emulator.azure.endpoints.settings import Probe
    from mlinfra.emulator.programs import Contents

MODELS = "/var/azureml-app/azureml-models"
# The inference server's own, where an environment names no routes.
_USUAL_HEALTH, _USUAL_SCORING = "/", "/score"


class Model(NamedTuple):
    """A model version that is mounted: its name and version, and the folder of this machine that holds its files."""

    name: str
    version: str
    folder: Path


class Routes(NamedTuple):
    """Where a container is asked what."""

    liveness: str
    readiness: str
    scoring: str


@dataclass(frozen=True)
class Container:
    """One container of a deployment, resolved. A later change of environment or model does not touch it."""

    server: Server
    routes: Routes
    liveness: Probe
    readiness: Probe
    patience: float  # virtual s until its probes have to have passed
    image: str


def routes(environment: Mapping[str, Any]) -> Routes:
    """The routes of an environment version's properties, and the inference server's own for what it leaves out."""
    config = environment.get("inferenceConfig") or {}

    def path(name: str, usual: str) -> str:
        found = str((config.get(name) or {}).get("path") or usual)
        return found if found.startswith("/") else f"/{found}"

    return Routes(
        path("livenessRoute", _USUAL_HEALTH),
        path("readinessRoute", _USUAL_HEALTH),
        path("scoringRoute", _USUAL_SCORING),
    )


def container(
    properties: Mapping[str, Any],
    environment: Mapping[str, Any],
    contents: Contents,
    model: Model | None,
    own: Mapping[str, str],
) -> Container:
    """The container of a deployment's and an environment version's properties.

    `own` are variables by which the emulator stands for the machine around a container; they win.

    Raises:
        Refusal: nobody told what the image runs.
    """
    image = str(environment["image"])
    if not contents.command:
        raise refusals.not_emulated(f"A deployment of the image {image}, whose server is not at hand,")
    found = routes(environment)
    asked = dict(properties.get("environmentVariables") or {})
    mounted = _mount(properties, model)
    readiness = settings.probe(properties, "readinessProbe")
    started = settings.probe(properties, "startupProbe").patience if properties.get("startupProbe") else 0.0
    return Container(
        server=Server(
            command=(*contents.command, *_settings(contents.command)),
            environment={**asked, **_model_folder(mounted), "AML_APP_ROOT": "/var/azureml-app", **own, "PORT": PORT},
            mounts=mounted,
            python=contents.python or None,
            requirements_lock=contents.requirements_lock or None,
            health_route=found.readiness,
        ),
        routes=found,
        liveness=settings.probe(properties, "livenessProbe"),
        readiness=readiness,
        patience=readiness.patience + started,
        image=image,
    )


def _mount(properties: Mapping[str, Any], model: Model | None) -> dict[str, str]:
    """Where the model's files are in the container: `<mount path>/<name>/<version>`."""
    if model is None:
        return {}
    base = PurePosixPath(properties.get("modelMountPath") or MODELS)
    return {str(base / model.name / model.version): str(model.folder)}


def _model_folder(mounted: Mapping[str, str]) -> dict[str, str]:
    """AZUREML_MODEL_DIR; the folder itself where this machine can make no path that only the container sees."""
    if not mounted:
        return {}
    ((path, folder),) = mounted.items()
    private = isolation.best().kind != isolation.PREFIX
    return {"AZUREML_MODEL_DIR": path if private else folder}


def _settings(command: tuple[str, ...]) -> tuple[str, ...]:
    """The kit's server listens where nobody but this machine reaches it, at a port of its own."""
    return ("--host", LOOPBACK, "--port", PORT) if command[: len(KIT_SERVER)] == KIT_SERVER else ()
