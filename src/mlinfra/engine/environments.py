"""The environments that a project knows: find, choose, keep.

One JSON document each under `.mlinfra/environments`; `local` is always there. `MLINFRA_ENVIRONMENT_FILE` brings
a document in CI, `mlinfra.toml` holds the default.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.environment import Environment, LocalEnvironment, dumps, parse
from mlinfra.errors import Conflict, Denied, EnvironmentNotFound, SpecError, UsageError

if TYPE_CHECKING:
    from mlinfra.engine.folders import Folders

LOCAL = "local"
VARIABLE = "MLINFRA_ENV"
FILE_VARIABLE = "MLINFRA_ENVIRONMENT_FILE"


@dataclass(frozen=True)
class Chosen:
    """An environment and why it is the one."""

    environment: Environment
    because: str


def names(folders: Folders) -> list[str]:
    """Every known name, sorted."""
    kept = {path.stem for path in folders.environments.glob("*.json")}
    brought = _brought()
    return sorted(kept | {LOCAL} | ({brought.name} if brought else set()))


def get(folders: Folders, name: str) -> Environment:
    """The environment of that name.

    Raises:
        EnvironmentNotFound: no such environment is known here.
        SpecError: its document is not readable.
    """
    brought = _brought()
    if brought is not None and brought.name == name:
        return brought
    path = folders.environments / f"{name}.json"
    if path.is_file():
        return _read(path)
    if name == LOCAL:
        return LocalEnvironment(name=LOCAL, root=str(folders.project / "local"))
    raise EnvironmentNotFound(
        "no such environment is known here",
        given=name,
        allowed=", ".join(names(folders)),
        todo="`mlinfra env sync NAME` reads a stack's output, `mlinfra env add FILE` takes a document",
    )


def choose(folders: Folders, asked: str | None) -> Chosen:
    """The environment a command works in: asked for, `MLINFRA_ENV`, the project's default, else `local`.

    Raises:
        EnvironmentNotFound: no such environment is known here.
        Denied: the default is a protected environment; such a one must be named.
    """
    if asked:
        return Chosen(get(folders, asked), "-e")
    if name := os.environ.get(VARIABLE):
        return Chosen(get(folders, name), VARIABLE)
    if name := default(folders):
        environment = get(folders, name)
        if environment.protected:
            raise Denied(
                f"environment {name} is protected and never chosen by default",
                todo=f"name it: -e {name}",
            )
        return Chosen(environment, folders.config.name)
    if brought := _brought():
        return Chosen(brought, FILE_VARIABLE)
    return Chosen(get(folders, LOCAL), "default")


def default(folders: Folders) -> str | None:
    """The project's default environment, None where it has none.

    Raises:
        SpecError: `mlinfra.toml` is not readable.
    """
    if not folders.config.is_file():
        return None
    try:
        settings = tomllib.loads(folders.config.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SpecError(f"{folders.config.name} is not readable: {exc}", todo="correct the file") from exc
    value = settings.get("default_environment")
    if value is not None and not isinstance(value, str):
        raise SpecError("default_environment must be a name", given=value, todo=f"correct {folders.config.name}")
    return value


def use(folders: Folders, name: str) -> None:
    """Make an environment the project's default.

    Raises:
        EnvironmentNotFound: no such environment is known here.
        Denied: it is protected.
    """
    if get(folders, name).protected:
        raise Denied(f"environment {name} is protected and cannot be a default", todo=f"name it each time: -e {name}")
    line = f'default_environment = "{name}"'
    old = folders.config.read_text().splitlines() if folders.config.is_file() else []
    kept = [text for text in old if not text.replace(" ", "").startswith("default_environment=")]
    _write(folders.config, "\n".join([line, *kept]) + "\n")


def keep(folders: Folders, environment: Environment, *, replace: bool = False) -> Path:
    """Keep an environment's document with the project.

    Raises:
        Conflict: another document of that name is kept already.
    """
    path = folders.environments / f"{environment.name}.json"
    text = dumps(environment)
    if path.is_file() and path.read_text() != text and not replace:
        raise Conflict(
            f"another environment {environment.name} is kept already",
            given=str(path),
            todo="remove it with `mlinfra env remove`, or give this one another name",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text)
    return path


def forget(folders: Folders, name: str) -> None:
    """Forget a kept document; the environment itself is left alone.

    Raises:
        EnvironmentNotFound: no document of that name is kept.
    """
    path = folders.environments / f"{name}.json"
    if not path.is_file():
        raise EnvironmentNotFound("no document of that name is kept", given=name, allowed=", ".join(names(folders)))
    path.unlink()


def confirm(environment: Environment, *, yes: bool, confirmation: str | None, verb: str) -> None:
    """Stop a destructive verb that was not meant.

    Raises:
        UsageError: `--yes` is missing.
        Denied: the environment is protected and was not confirmed by name.
    """
    place = " ".join(filter(None, (environment.platform, environment.account, environment.region)))
    where = f"{environment.name} ({place})"
    if environment.protected and confirmation != environment.name:
        raise Denied(
            f"{verb} in protected environment {where} needs a second word",
            given=confirmation or "no --confirm",
            todo=f"add --yes --confirm {environment.name}",
        )
    if not yes:
        raise UsageError(f"{verb} in {where} was not confirmed", todo="add --yes")


def _brought() -> Environment | None:
    path = os.environ.get(FILE_VARIABLE)
    return _read(Path(path)) if path else None


def _read(path: Path) -> Environment:
    try:
        document: Any = json.loads(path.read_text())
    except FileNotFoundError as exc:
        raise EnvironmentNotFound("there is no such file", given=str(path), todo=f"correct {FILE_VARIABLE}") from exc
    except ValueError as exc:
        raise SpecError(
            f"not a JSON document: {exc}", given=str(path), todo="`mlinfra env sync` or `env add` writes it again"
        ) from exc
    if not isinstance(document, dict):
        raise SpecError("an environment is a JSON object", given=str(path))
    return parse(document, file=str(path))


def _write(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)
