"""From a job's spec to everything that can be known without the platform: code, lock, inputs, identity.

Reads files, packs what changed, sends nothing; so `plan` and `submit` see the same thing.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import needed_by_job, require
from mlinfra.engine.identity import Work
from mlinfra.errors import SpecError
from mlinfra.package import Bundle, Lock, build_bundle, fetch_code, lock, tree_digest, wheels_key
from mlinfra.spec import check_surroundings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlinfra.contract.adapter import Adapter
    from mlinfra.contract.requests import Document
    from mlinfra.engine.folders import Folders
    from mlinfra.environment import Environment
    from mlinfra.spec import Input, JobSpec, ModelSpec


@dataclass(frozen=True)
class LocalInput:
    """A file or folder of this machine, by content."""

    path: Path
    digest: str
    size: int
    is_folder: bool

    @property
    def key(self) -> str:
        """Where its content lies in a store."""
        prefix = f"inputs/{self.digest.removeprefix('sha256:')}"
        return prefix if self.is_folder else f"{prefix}/{self.path.name}"


@dataclass(frozen=True)
class RemoteInput:
    """Something that lies elsewhere. `version` pins it; empty where it will be read from the store at submit."""

    uri: str
    version: str = ""
    is_folder: bool = False


@dataclass(frozen=True)
class Prepared:
    """A job ready to be sent. `spec` has its overlays applied and this platform's overrides alone.

    `wheels_for` is the Python whose packages must travel with the job, empty where it will have an index to ask.
    """

    spec: JobSpec
    bundle: Bundle
    lock: Lock | None
    inputs: Mapping[str, LocalInput | RemoteInput]
    schemas: Document = field(default_factory=dict)
    occasion: str = ""
    wheels_for: str = ""

    @property
    def unpinned(self) -> list[str]:
        """Inputs whose version is only known to their store."""
        return [name for name, each in self.inputs.items() if isinstance(each, RemoteInput) and not each.version]

    def work(self, environment: Environment) -> Work:
        """The identity of this work in an environment."""
        return Work(
            spec=self.spec.as_document(),
            code=self.bundle.code_digest,
            inputs={
                name: each.digest if isinstance(each, LocalInput) else f"{each.uri}@{each.version}"
                for name, each in self.inputs.items()
            },
            environment=environment.id,
            schemas=self.schemas,
            occasion=self.occasion,
        )


def prepare(
    spec: JobSpec,
    base: Path,
    environment: Environment,
    adapter: Adapter,
    folders: Folders,
    *,
    models: Mapping[str, ModelSpec] | None = None,
    occasion: str = "",
) -> Prepared:
    """Resolve a spec on this machine. `base` is the folder of its file.

    Raises:
        CapabilityError: the platform cannot do it.
        SpecError: a path leads out of the project or to nothing, requirements do not resolve, an override is wrong.
    """
    spec = spec.for_environment(environment.name, environment.platform)
    inside = base.resolve().is_relative_to(folders.root.resolve())
    check_surroundings(spec, base, folders.root if inside else None)
    require(environment.platform, adapter.capabilities, needed_by_job(spec))
    adapter.config.check_overrides(spec.overrides.get(environment.platform, {}), environment)
    code = (base / spec.code) if isinstance(spec.code, str) else fetch_code(spec.code.git, spec.code.ref, folders.cache)
    inputs = {name: _input(name, each, base, folders) for name, each in spec.inputs.items()}
    locked = _lock(spec, base, environment, adapter, folders)
    bundle = build_bundle(
        code,
        exclude=[each.path for each in inputs.values() if isinstance(each, LocalInput)],
        requirements_lock=locked.text if locked else None,
        cache=folders.cache,
    )
    return Prepared(
        spec=spec,
        bundle=bundle,
        lock=locked,
        inputs=inputs,
        schemas=_schemas(spec, models or {}),
        occasion=occasion,
        wheels_for=python_version(spec, environment) if locked and _alone(environment, adapter) else "",
    )


def wheels_prefix(lock: Lock, python: str) -> str:
    """Where in the store the packages of a lock lie as wheels."""
    return f"wheels/{wheels_key(lock, python)}"


def python_version(spec: JobSpec, environment: Environment) -> str:
    """The Python of a job, as major.minor: what it asks for, what the environment's image has, or ours."""
    asked = spec.python.version if spec.python else None
    image = environment.images.get("runner") or environment.images.get("base")
    return asked or (image.python if image else "") or f"{sys.version_info.major}.{sys.version_info.minor}"


def _alone(environment: Environment, adapter: Adapter) -> bool:
    return environment.network.isolated and not adapter.at_hand


def _input(name: str, given: Input, base: Path, folders: Folders) -> LocalInput | RemoteInput:
    if not given.is_local:
        return RemoteInput(given.uri, given.version or given.at or "")
    path = base / given.uri
    if not path.exists():
        raise SpecError(
            f"inputs.{name}: there is no such file or folder",
            given=given.uri,
            allowed=f"a path beside the spec file, in {base}",
            todo="correct the path, or give an address such as store://…",
        )
    content = tree_digest(path, folders.cache)
    return LocalInput(path, content.digest, content.size, path.is_dir())


def _lock(spec: JobSpec, base: Path, environment: Environment, adapter: Adapter, folders: Folders) -> Lock | None:
    """The packages of the job, pinned; None where it names none and takes what the image has."""
    if spec.python is None or spec.python.requirements is None:
        return None
    return lock(
        base / spec.python.requirements,
        python_version(spec, environment),
        index=environment.python_index or None,
        cache=folders.cache,
        platform=None if adapter.at_hand else "linux",
    )


def _schemas(spec: JobSpec, models: Mapping[str, ModelSpec]) -> Document:
    """Output -> declared schema of the model that it is registered as."""
    register = spec.register_
    model = models.get(register.name) if register else None
    if register is None or model is None or model.schema_ is None:
        return {}
    return {register.output: model.schema_document()}
