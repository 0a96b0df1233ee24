"""Putting an image together and into its registry: the base, one layer of packages, one layer of the kit.

What changes seldom lies below what changes often, so that a new release of the kit sends some hundred kilobytes.
Models stay out of images: every platform brings them beside.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from mlinfra.errors import CapabilityError, SpecError, UsageError
from mlinfra.images.assemble import INDEXES, MANIFEST, Base, Image, Settings, assemble, choose_platform
from mlinfra.images.content import digest_of
from mlinfra.images.kit import has_walk, kit_entries
from mlinfra.images.layer import Layer, pack
from mlinfra.images.registry import Blob, Registry, Traffic
from mlinfra.images.site import SITE, lock_for, serving_requirements, site_entries, unpacked
from mlinfra.modelkit.manifest import Manifest
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import IO

    from mlinfra.images.login import Source
    from mlinfra.images.reference import Reference
    from mlinfra.images.transport import Transport

KINDS = ("serving", "runner")
PORT = 8080
_THREADS = 4
_LABELS = {  # what SageMaker asks of an image behind several models, or behind others in a pipeline
    "com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true",
    "com.amazonaws.sagemaker.capabilities.multi-models": "true",
}
_VARIABLES = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Recipe:
    """What goes on top of a base image. `python` empty: what the base says of itself."""

    kind: str = "serving"
    requirements: Sequence[str] = ()
    platform: str = "linux/amd64"
    python: str = ""
    index: str = ""


@dataclass(frozen=True)
class Built:
    """An image put together on this machine, ready to be pushed."""

    image: Image
    base: Base
    base_reference: Reference
    python: str
    packages: tuple[str, ...] = field(default=())

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.digest


def model_requirements(model: Path, platform: str = "linux/amd64") -> tuple[str, ...]:
    """What an image must hold to serve a model package: nothing where the model is sealed.

    Raises:
        NotFound, IntegrityError: as `Manifest.read`.
        SpecError: the package does not say what it needs.
    """
    manifest = Manifest.read(model)
    if "file" in (manifest.sealed or {}) and has_walk(platform):
        return ()
    if not manifest.requirements and manifest.format != "python":
        todo = "name its packages in the package, or with --requirements"
        raise SpecError("the model package names no requirements", given=str(model), todo=todo)
    return tuple(manifest.requirements)


def trained_with(model: Path) -> str:
    """The Python of a model package, as in `3.11`; empty where it does not say. Raises as `Manifest.read`."""
    return Manifest.read(model).python or ""


def build(
    base: Reference,
    recipe: Recipe,
    *,
    source: Source,
    transport: Transport,
    cache: Path,
    say: Callable[[str], None] = lambda _text: None,
) -> Built:
    """Put an image together: reads the base's manifest and config, writes below `cache` alone. Blocks.

    The same base, recipe and kit give the same digest on every machine with the same build of zlib.

    Raises:
        CapabilityError: base or platform cannot be used; says why.
        SpecError, Unavailable: as `lock_for` and `unpacked`.
        Denied, NotFound: as `Registry`.
    """
    say(f"reading the base {base}")
    found = read_base(Registry(base, source, transport), base, recipe.platform)
    python = recipe.python or _python_of(found)
    layers, packages = _layers(recipe, python, cache, say)
    image = assemble(found, layers, _settings(recipe, found))
    return Built(image, found, base, python, packages)


def push(
    built: Built,
    target: Reference,
    *,
    source: Source,
    transport: Transport,
    cache: Path,
    say: Callable[[str], None] = lambda _text: None,
) -> Traffic:
    """Put a built image into a registry: blobs first, the manifest by digest, its tag last. Blocks.

    Sends only what is not there. May be repeated: an interrupted push goes on, a finished one changes nothing.

    Raises:
        Conflict: the tag names another image, and the registry lets no tag be moved.
        Denied, NotFound, Unavailable, IntegrityError: as `Registry`.
    """
    registry = Registry(target, source, transport, writes=True)
    origin = Registry(built.base_reference, source, transport)
    blobs = [*_inherited(built, target, origin, cache), *_own(built.image)]
    say(f"pushing {len(blobs)} blobs to {target.host}/{target.repository}")
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(lambda blob: registry.put_blob(target.repository, blob), blobs))
    for name in filter(None, (built.digest, target.tag)):
        registry.put_manifest(target.repository, name, built.image.manifest, MANIFEST)
    told = registry.traffic
    say(f"{told.uploaded} sent ({told.sent / 1e6:.1f} MB), {told.mounted} mounted, {told.present} there before")
    return told


def read_base(registry: Registry, base: Reference, platform: str) -> Base:
    """A base image for one platform, pinned by its digest.

    Raises:
        CapabilityError: there is none for that platform.
    """
    manifest, digest = registry.manifest(base.repository, base.name)
    if manifest["mediaType"] in INDEXES:
        digest = choose_platform(manifest, platform, str(base))
        manifest, _ = registry.manifest(base.repository, digest)
    if "config" not in manifest or "layers" not in manifest:
        what = "the base is no image of the form that can be built upon"
        raise CapabilityError(what, given=str(manifest["mediaType"]), allowed="Docker schema 2, OCI")
    config = json.loads(registry.blob(base.repository, manifest["config"]["digest"]))
    found = f"{config.get('os')}/{config.get('architecture')}"
    if found != platform:
        raise CapabilityError("the base image is for another platform", given=found, allowed=platform)
    return Base(str(base), digest, manifest, config)


def _layers(
    recipe: Recipe, python: str, cache: Path, say: Callable[[str], None]
) -> tuple[list[Layer], tuple[str, ...]]:
    wanted = [*(serving_requirements() if recipe.kind == "serving" else ()), *recipe.requirements]
    layers = []
    packages: tuple[str, ...] = ()
    if wanted:
        say(f"resolving packages for Python {python} on {recipe.platform}")
        locked = lock_for(wanted, python, recipe.platform, cache, recipe.index)
        folder = unpacked(locked, python, recipe.platform, cache, recipe.index)
        packages = locked.packages
        say(f"packing {len(packages)} packages")
        layers.append(pack(site_entries(folder, locked), "mlinfra: packages", cache / "layers"))
    layers.append(pack(kit_entries(recipe.kind, recipe.platform), f"mlinfra: {recipe.kind}", cache / "layers"))
    return layers, packages


def _settings(recipe: Recipe, base: Base) -> Settings:
    before = base.environment.get("PYTHONPATH")
    variables = {"PYTHONPATH": f"/{SITE}{f':{before}' if before else ''}"}
    if recipe.kind == "runner":
        return Settings(environment=variables)
    return Settings(
        entrypoint=("python3", "-m", "mlinfra.serving"),
        environment={**variables, **_VARIABLES, "MLINFRA_IN_CONTAINER": "1"},
        labels=_LABELS,
        workdir="/opt/mlinfra",
        ports=(PORT,),
    )


def _python_of(base: Base) -> str:
    """The interpreter that the base holds, as it says in PYTHON_VERSION; all official Python images do."""
    version = base.environment.get("PYTHON_VERSION", "")
    if not version:
        todo = "name it with --python"
        raise UsageError("the base image does not say which Python it holds", given=base.name, todo=todo)
    return ".".join(version.split(".")[:2])


def _inherited(built: Built, target: Reference, origin: Registry, cache: Path) -> list[Blob]:
    base = built.base_reference
    mount = base.repository if base.host == target.host and base.repository != target.repository else ""

    def opener(digest: str) -> Callable[[], IO[bytes]]:
        return lambda: _fetched(origin, base.repository, digest, cache)

    return [Blob(item["digest"], item["size"], opener(item["digest"]), mount) for item in built.image.inherited]


def _own(image: Image) -> list[Blob]:
    config = Blob(digest_of(image.config), len(image.config), lambda: BytesIO(image.config))
    return [*map(_layer, image.layers), config]


def _layer(layer: Layer) -> Blob:
    return Blob(layer.digest, layer.size, lambda: layer.path.open("rb"))


def _fetched(origin: Registry, repository: str, digest: str, cache: Path) -> IO[bytes]:
    """A layer of the base, brought here because the target's registry cannot take it over by itself."""
    kept = cache / "blobs" / digest.replace(":", "-")
    if not kept.exists():
        with new_file(kept) as file:
            origin.copy_blob(repository, digest, file)
    return kept.open("rb")
