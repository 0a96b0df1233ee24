"""What a model's container becomes on this machine: a program, its environment, and the model's files.

After SageMaker's hosting guide ("How SageMaker loads your model artifacts", "How SageMaker runs your inference
image") and botocore's description of ContainerDefinition. The container is a process; its image stands for a
program that was registered with it.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.hosting.hosting import PORT, Server
from mlinfra.host import isolation
from mlinfra.host.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlinfra.emulator.aws.registry.images import Images

MODEL_FOLDER = "/opt/ml/model"
PYTHON = "{python}"  # stands for the image's interpreter in a command
KIT_SERVER = (PYTHON, "-m", "mlinfra.serving")
_PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"  # by which SageMaker itself tells containers that share an instance
_SERVE = "serve"  # the argument with which SageMaker runs every hosting image
_DOWNLOAD = (
    'Failed to download model data for container "{name}" from URL: "{url}". Please ensure that there is an object '
    "located at the URL and that the role passed to CreateModel has permissions to download the model."
)
_EXTRACT = (
    'Failed to extract model data archive for container "{name}" from URL "{url}". Please ensure that the object '
    "located at the URL is a valid tar.gz archive."
)


class ModelDataFailure(Exception):
    """The model's files are not to be had; the text is the endpoint's FailureReason."""


@dataclass(frozen=True)
class Container:
    """A model's one container, resolved. A later change or deletion of the model does not touch it."""

    model: str
    image: str
    resolved_image: str
    role: str
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    python: str
    requirements_lock: str
    data_uri: str = ""  # empty: the image holds its model
    archive: bool = True  # a tar.gz; else an object, or all objects below a prefix that ends with a slash

    def server(self, folder: Path) -> Server:
        """What to start, its model's files in this folder."""
        return Server(
            command=(*self.entrypoint, _SERVE, *self._settings(folder)),
            environment={**self.environment, _PORT_VARIABLE: PORT},
            mounts={MODEL_FOLDER: str(folder)},
            python=self.python or None,
            requirements_lock=self.requirements_lock or None,
        )

    def _settings(self, folder: Path) -> tuple[str, ...]:
        """What the kit's server must be told: its port, and where the model is if no private path can be made."""
        if self.entrypoint != KIT_SERVER:
            return ()
        private = isolation.best().kind != isolation.PREFIX
        return ("--host", LOOPBACK, "--port", PORT, *(() if private else ("--model", str(folder))))


class ServingImages:
    """Which server an image starts. The images themselves are those that jobs know."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._entrypoints: dict[str, tuple[str, ...]] = {}

    def register(
        self, uri: str, entrypoint: tuple[str, ...] = KIT_SERVER, *, python: str = "", requirements_lock: str = ""
    ) -> None:
        """Say which program an image runs, with the argument `serve`; by default the kit's model server.

        `{python}` as an element is the image's interpreter, `{port}` inside one the port to listen on, which
        SAGEMAKER_BIND_TO_PORT holds as well. Safe to repeat.
        """
        self._images.register(uri, python, requirements_lock)
        self._entrypoints[uri] = entrypoint

    def entrypoint(self, uri: str) -> tuple[str, ...]:
        """The program of an image. Refusal where nobody told what it serves with."""
        if uri not in self._entrypoints:
            raise refusals.not_emulated(f"Hosting with the image {uri}, whose server is not at hand,")
        return self._entrypoints[uri]


def container(
    model: Mapping[str, Any],
    definition: Mapping[str, Any],
    images: Images,
    serving: ServingImages,
    environment: Mapping[str, str],
) -> Container:
    """The container of a model (as CreateModel took it) from its definition; `environment` is the service's own.

    Raises:
        Refusal: the image may not be pulled, or this kind of container is not emulated.
    """
    if definition.get("Mode") == "MultiModel":
        raise refusals.not_emulated("A multi-model container")
    if definition.get("AdditionalModelDataSources"):
        raise refusals.not_emulated("AdditionalModelDataSources")
    image, role = definition["Image"], model["ExecutionRoleArn"]
    contents = images.contents(image, role)
    source = definition.get("ModelDataSource", {}).get("S3DataSource", {})
    return Container(
        model=model["ModelName"],
        image=image,
        resolved_image=image,
        role=role,
        environment={**environment, **definition.get("Environment", {})},
        entrypoint=serving.entrypoint(image),
        python=contents.python,
        requirements_lock=contents.requirements_lock,
        data_uri=source.get("S3Uri") or definition.get("ModelDataUrl", ""),
        archive=source.get("CompressionType", "Gzip") == "Gzip",
    )


def bring(container: Container, folder: Path, read: Callable[[str], bytes], listed: Callable[[str], list[str]]) -> None:
    """Put the model's files into a folder, which is made. `read` and `listed` act in the execution role's name.

    Raises:
        ModelDataFailure: there is nothing, it may not be read, or it is no archive.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if not container.data_uri:
        return
    words = {"name": "container_1", "url": container.data_uri}
    try:
        if container.archive:
            _unpack(read(container.data_uri), folder)
        else:
            _copy(container.data_uri, folder, read, listed)
    except (tarfile.TarError, EOFError, OSError) as exc:
        raise ModelDataFailure(_EXTRACT.format(**words)) from exc
    except Refusal as exc:
        raise ModelDataFailure(_DOWNLOAD.format(**words)) from exc


def _unpack(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as members:
        members.extractall(folder, filter="data")


def _copy(uri: str, folder: Path, read: Callable[[str], bytes], listed: Callable[[str], list[str]]) -> None:
    """All objects below a prefix that ends with a slash, under their names below it; else the one object."""
    uris = [each for each in listed(uri) if not each.endswith("/")] if uri.endswith("/") else [uri]
    if not uris:
        raise Refusal("NoSuchKey", f"nothing lies below {uri}", status=404)
    for each in uris:
        name = PurePosixPath(each.removeprefix(uri) if uri.endswith("/") else each.rpartition("/")[2])
        if ".." in name.parts or name.is_absolute():
            raise Refusal("InvalidURI", f"{each} has no place in a folder")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read(each))
