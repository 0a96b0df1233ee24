"""Where a stack's program and its configuration lie, and what the configuration says before any program runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mlinfra.errors import EnvironmentNotFound, NotFound, SpecError
from mlinfra.infra.configuration import NAMESPACE, PLATFORMS
from mlinfra.infra.stages import PROFILES

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.environment import Stage

PROJECT_FILE: Final = "Pulumi.yaml"
FOLDER: Final = "infra"  # where `env init` writes a program, so that it need not lie among a project's own files
_LARGEST: Final = 1 << 20  # bytes of a file that somebody wrote by hand


@dataclass(frozen=True)
class Place:
    """A stack before it is run. `folder` holds Pulumi.yaml; `file` is the stack's own, whether it is there or not."""

    stack: str
    project: str
    folder: Path
    file: Path
    settings: dict[str, Any]

    @property
    def platform(self) -> str:
        """The platform that the configuration names, empty where it names none."""
        return str(self._value("platform") or "")

    @property
    def stage(self) -> Stage:
        """The stage that the configuration names; a word that is none counts as dev until the program refuses it."""
        named = self._value("stage")
        return named if named in PROFILES else "dev"

    @property
    def emulated(self) -> bool:
        """Whether an emulator answers for the cloud."""
        return str(self._value("emulated")).lower() == "true"

    @property
    def protected(self) -> bool:
        """Whether destructive verbs ask for the environment's name."""
        changed = self._value("settings")
        own = changed.get("protected") if isinstance(changed, dict) else None
        return PROFILES[self.stage].protected if own is None else bool(own)

    def _value(self, key: str) -> Any:
        return (self.settings.get("config") or {}).get(f"{NAMESPACE}:{key}")


def find(folder: Path, stack: str) -> Place:
    """The stack of that name of the program in a folder, in its `infra`, or in the nearest one above.

    Raises:
        NotFound: there is no program.
        EnvironmentNotFound: the program has no configuration of that name.
        SpecError: a file is not readable.
    """
    here = folder.resolve()
    places = (place for each in (here, *here.parents) for place in (each, each / FOLDER))
    home = next((place for place in places if (place / PROJECT_FILE).is_file()), None)
    if home is None:
        raise NotFound(
            f"there is no {PROJECT_FILE} here or above",
            given=str(here),
            todo="`mlinfra env init` writes one, --program names its folder",
        )
    project = _read(home / PROJECT_FILE)
    files = home / str(project.get("stackConfigDir", "."))
    file = files / f"Pulumi.{stack}.yaml"
    if not file.is_file():
        known = sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in files.glob("Pulumi.*.yaml"))
        raise EnvironmentNotFound(
            "the program has no configuration of that name",
            given=stack,
            allowed=", ".join(known),
            todo=f"write {file}, or let `mlinfra env init {stack}` do it",
        )
    place = Place(stack, str(project.get("name", "")), home, file, _read(file))
    if place.platform and place.platform not in PLATFORMS:
        allowed = ", ".join(PLATFORMS)
        raise SpecError(f"{file.name}: there is no such platform", given=place.platform, allowed=allowed)
    return place


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST:
        raise SpecError("the file is too large to be a configuration", given=str(path), allowed=f"{_LARGEST} bytes")
    try:
        document = YAML(typ="safe").load(path.read_text())
    except (YAMLError, UnicodeDecodeError) as exc:
        told, mark = getattr(exc, "problem", None) or str(exc), getattr(exc, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SpecError(f"not a readable YAML file: {told}", given=where, todo="correct the file") from exc
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise SpecError("a mapping is expected", given=str(path), todo="correct the file")
    return document
