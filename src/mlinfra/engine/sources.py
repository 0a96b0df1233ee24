"""From files, or specs made in Python, to what the engine's verbs take: the specs as they hold in one environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from mlinfra.errors import UsageError
from mlinfra.spec import load, merge, with_settings
from mlinfra.spec.spec import Spec

if TYPE_CHECKING:
    from mlinfra.engine.folders import Folders
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec, JobSpec, ModelSpec

Settings: TypeAlias = Mapping[str, Any] | Iterable[str]  # {"params.depth": 8}, or words as on the command line
AnySpec = TypeVar("AnySpec", bound=Spec)


@dataclass(frozen=True)
class Source:
    """A spec and the folder that its paths are relative to."""

    spec: Spec
    base: Path


@dataclass(frozen=True)
class Sources:
    """What files hold, by kind, each in the order of the files."""

    all: tuple[Source, ...]

    @property
    def jobs(self) -> list[tuple[JobSpec, Path]]:
        """The jobs and their folders."""
        return [(cast("JobSpec", each.spec), each.base) for each in self.all if each.spec.kind == "job"]

    @property
    def models(self) -> dict[str, ModelSpec]:
        """The models by name."""
        return {each.spec.name: cast("ModelSpec", each.spec) for each in self.all if each.spec.kind == "model"}

    @property
    def endpoints(self) -> list[EndpointSpec]:
        """The endpoints."""
        return [cast("EndpointSpec", each.spec) for each in self.all if each.spec.kind == "endpoint"]

    def only_job(self) -> tuple[JobSpec, Path]:
        """The job, where there is one.

        Raises:
            UsageError: there is none, or there are several.
        """
        return _only("job", self.jobs, [spec.name for spec, _ in self.jobs])

    def only_endpoint(self) -> EndpointSpec:
        """The endpoint, where there is one.

        Raises:
            UsageError: there is none, or there are several.
        """
        return _only("endpoint", self.endpoints, [spec.name for spec in self.endpoints])


def read(files: Iterable[str | Path], folders: Folders) -> Sources:
    """The specs of files. Their paths may lead anywhere inside the project, and nowhere else.

    Raises:
        NotFound: there is no such file.
        SpecError: holds every problem of all of them.
    """
    paths = [Path(file) for file in files]
    inside = all(path.resolve().is_relative_to(folders.root) for path in paths)
    loaded = load(paths, project=folders.root if inside else None)
    return Sources(tuple(Source(each.spec, each.base) for each in loaded))


def of(given: str | Path | Spec, folders: Folders) -> Sources:
    """The specs of a file, or one made in Python, whose paths are relative to the folder we stand in."""
    if isinstance(given, Spec):
        return Sources((Source(given, Path.cwd()),))
    return read([given], folders)


def settle(spec: AnySpec, environment: Environment, settings: Settings = ()) -> AnySpec:
    """The spec as it holds in an environment, with fields changed by the caller, who has the last word.

    Raises:
        SpecError: two overlays do not go together, or a setting names no field or has a wrong value.
    """
    spec = spec.for_environment(environment.name, environment.platform)
    if not isinstance(settings, Mapping):
        return with_settings(spec, settings)
    body = spec.body()
    for path, value in settings.items():
        body = merge(body, _nested(path.split("."), value))
    return type(spec).from_document(body) if settings else spec


def _nested(parts: list[str], value: Any) -> dict[str, Any]:
    first, *rest = parts
    return {first: _nested(rest, value) if rest else value}


_Found = TypeVar("_Found")


def _only(kind: str, found: list[_Found], names: list[str]) -> _Found:
    if len(found) == 1:
        return found[0]
    given = f"{len(found)} {kind}s" + (f": {', '.join(names)}" if names else "")
    raise UsageError(
        f"the file should hold one {kind}", given=given, todo=f"put one {kind} in a file, or use `mlinfra apply`"
    )
