"""From a base image and layers to a new image: its config and its manifest, as bytes. Pure.

The form is Docker's schema 2 with gzip, one manifest and no index: SageMaker's hosting refuses every other
(aws/amazon-sagemaker-feedback#180), and all other platforms take it. A gzip layer of an OCI image is the same bytes
under another media type; layers of other kinds have no place in this form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlinfra.errors import CapabilityError, IntegrityError
from mlinfra.images.content import CREATED, canonical, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlinfra.images.layer import Layer

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker"
MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
MANIFESTS = (MANIFEST, f"{_OCI}.manifest.v1+json")
INDEXES = (f"{_OCI}.index.v1+json", f"{_DOCKER}.distribution.manifest.list.v2+json")
_CONFIG = f"{_DOCKER}.container.image.v1+json"
_LAYER = f"{_DOCKER}.image.rootfs.diff.tar.gzip"
_GZIP_LAYERS = (_LAYER, f"{_OCI}.layer.v1.tar+gzip")
_OF_THE_BUILDER = ("id", "parent", "container", "container_config", "docker_version", "author")
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True)
class Base:
    """A base image as its registry gave it, for one platform."""

    name: str
    digest: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        given = self.config.get("config") or {}
        return dict(item.partition("=")[::2] for item in given.get("Env") or ())


@dataclass(frozen=True)
class Settings:
    """What the new image sets beside its files. An empty entrypoint keeps the base's."""

    entrypoint: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    ports: Sequence[int] = ()


@dataclass(frozen=True)
class Image:
    """A new image: what must be in the registry for it. `inherited` are the base's layers."""

    digest: str
    manifest: bytes
    config: bytes
    inherited: tuple[Mapping[str, Any], ...]
    layers: tuple[Layer, ...]


def assemble(base: Base, layers: Sequence[Layer], settings: Settings) -> Image:
    """Put layers on a base.

    Raises:
        CapabilityError: the base has layers that this form of image cannot hold.
        IntegrityError: the base's config and manifest do not belong together.
    """
    inherited = tuple(_inherited(item) for item in base.manifest["layers"])
    if len(inherited) != len(base.config.get("rootfs", {}).get("diff_ids", ())):
        raise IntegrityError("the base image's config lists other layers than its manifest", given=base.name)
    config = canonical(_config(base, layers, settings))
    added = [{"mediaType": _LAYER, "size": layer.size, "digest": layer.digest} for layer in layers]
    manifest = canonical(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": digest_of(config)},
            "layers": [*inherited, *added],
        }
    )
    return Image(digest_of(manifest), manifest, config, inherited, tuple(layers))


def choose_platform(index: Mapping[str, Any], platform: str, name: str) -> str:
    """The digest of an index' manifest for a platform such as `linux/amd64`.

    Raises:
        CapabilityError: the index has none; names those it has.
    """
    system, _, machine = platform.partition("/")
    offered: dict[str, str] = {}
    for item in index["manifests"]:
        described = item.get("platform", {})
        offered.setdefault(f"{described.get('os')}/{described.get('architecture')}", item["digest"])
    if platform not in offered:
        allowed = ", ".join(sorted(offered))
        raise CapabilityError(f"{name} has no image for {system} on {machine}", given=platform, allowed=allowed)
    return offered[platform]


def _inherited(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = str(layer.get("mediaType"))
    if kind not in _GZIP_LAYERS or layer.get("urls"):
        what = "the base image has a layer that SageMaker's form of image cannot hold"
        todo = "take a base whose layers are gzip and lie in its own registry"
        raise CapabilityError(what, given=kind, allowed=", ".join(_GZIP_LAYERS), todo=todo)
    return {"mediaType": _LAYER, "size": layer["size"], "digest": layer["digest"]}


def _config(base: Base, layers: Sequence[Layer], settings: Settings) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(canonical(base.config))
    config = {name: value for name, value in config.items() if name not in _OF_THE_BUILDER}
    config["created"] = CREATED
    config["rootfs"] = {"type": "layers", "diff_ids": [*config["rootfs"]["diff_ids"], *(x.diff_id for x in layers)]}
    history = [{"created": CREATED, "created_by": layer.about} for layer in layers]
    config["history"] = [*config.get("history", ()), *history]
    inner = dict(config.get("config") or {})
    inner["Env"] = [f"{name}={value}" for name, value in {**base.environment, **settings.environment}.items()]
    labels = {**(inner.get("Labels") or {}), **settings.labels}
    inner["Labels"] = {**labels, _BASE_DIGEST: base.digest}
    if settings.entrypoint:
        inner["Entrypoint"] = list(settings.entrypoint)
        inner.pop("Cmd", None)
    if settings.workdir:
        inner["WorkingDir"] = settings.workdir
    if settings.ports:
        ports: dict[str, dict[str, str]] = {f"{port}/tcp": {} for port in settings.ports}
        inner["ExposedPorts"] = {**(inner.get("ExposedPorts") or {}), **ports}
    config["config"] = inner
    return config
