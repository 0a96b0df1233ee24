"""A stack's output becomes the kept document of an environment; the stack's update number is kept beside it.

Pulumi is run as a program, as its user would run it; nothing here imports it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.engine import environments
from mlinfra.environment import parse
from mlinfra.errors import CapabilityError, EnvironmentNotFound, SpecError, Unavailable
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.engine.folders import Folders
    from mlinfra.environment import Environment

BUILT = ".tools/pulumi/bin/pulumi"  # where `make pulumi` puts it
BACKEND = "PULUMI_BACKEND_URL"
OUTPUT = "environment"  # the name of the stack's output that holds the document
_PATIENCE = 120  # seconds; a state backend far away
_UNKNOWN_STACK = "no stack named"
_UNKNOWN_OUTPUT = "does not have output property"


@dataclass(frozen=True)
class Kept:
    """Where a kept document came from: the stack, the folder of its program, and the number of its update.

    `variables` are those by which Pulumi finds the state, where the kit chose one; no secret is among them.
    """

    stack: str
    folder: Path
    update: int
    variables: Mapping[str, str] = field(default_factory=dict)


def program(folder: Path) -> Path | None:
    """The program `pulumi`: on PATH, else what `make pulumi` brought up in this folder or one above. None without."""
    if found := shutil.which("pulumi"):
        return Path(found)
    here = folder.resolve()
    places = (each / BUILT for each in (here, *here.parents))
    return next((place for place in places if os.access(place, os.X_OK)), None)


def sync(
    folders: Folders, stack: str, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> tuple[Environment, Kept]:
    """Read a stack's output and keep it, in place of what was kept under that name. `folder` holds `Pulumi.yaml`.

    `variables` say where its state lies; without them what `env up` kept, unless the user's own say otherwise.

    Images that were pushed since, and that the stack does not name, stay.

    Raises:
        CapabilityError: the program `pulumi` is not installed.
        EnvironmentNotFound: there is no such stack, or it has no output of that name yet.
        SpecError: the output is no environment, or one of another name.
        Unavailable: Pulumi could not read the stack.
    """
    folder = folder or folders.root
    if variables is None:
        before = kept(folders, stack)
        variables = before.variables if before and BACKEND not in os.environ else {}
    document = _ask(["stack", "output", OUTPUT, "--json", "--stack", stack], folder, stack, variables)
    update = last_update(stack, folder, variables)
    return keep(folders, document, Kept(stack, folder.resolve(), update, variables))


def keep(folders: Folders, document: Any, origin: Kept) -> tuple[Environment, Kept]:
    """Keep what a stack exported, as `sync` does.

    Raises:
        SpecError: it is no environment, or one of another name.
    """
    stack = origin.stack
    if not isinstance(document, dict):
        raise SpecError(f"the output {OUTPUT!r} of stack {stack} is no environment", given=document)
    environment = parse(document, file=f"stack {stack}")
    if environment.name != stack:
        raise SpecError(
            "the stack's environment bears another name than the stack",
            given=environment.name,
            allowed=stack,
            todo="let the stack export an environment of its own name",
        )
    environment = _with_pushed_images(environment, folders)
    environments.keep(folders, environment, replace=True)
    _keep(folders, environment.name, origin)
    return environment, origin


def last_update(stack: str, folder: Path, variables: Mapping[str, str] | None = None) -> int:
    """The number of the last update, 0 where there was none; where the state numbers none, the second it began in.

    Raises:
        CapabilityError, EnvironmentNotFound, Unavailable: as `sync`.
    """
    updates = _ask(["stack", "history", "--json", "--stack", stack, "--page-size", "1"], folder, stack, variables or {})
    newest = updates[0] if isinstance(updates, list) and updates else {}
    return numbered(newest.get("version"), newest.get("startTime")) if isinstance(newest, dict) else 0


def numbered(version: Any, started: datetime | str | None) -> int:
    """The number of an update from its version, else from the time at which it began."""
    if version or not started:
        return int(version or 0)
    return int((datetime.fromisoformat(started) if isinstance(started, str) else started).timestamp())


def kept(folders: Folders, name: str) -> Kept | None:
    """Where the kept document of an environment came from; None where it came from no stack."""
    try:
        document = json.loads(_path(folders, name).read_text())
        variables = dict(document.get("variables", {}))
        return Kept(document["stack"], Path(document["folder"]), int(document["update"]), variables)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget(folders: Folders, name: str) -> None:
    """Forget where a document came from. Safe to repeat."""
    _path(folders, name).unlink(missing_ok=True)


def _with_pushed_images(environment: Environment, folders: Folders) -> Environment:
    if environment.name not in environments.names(folders):
        return environment
    before = environments.get(folders, environment.name)
    return environment.model_copy(update={"images": {**before.images, **environment.images}})


def _keep(folders: Folders, name: str, kept: Kept) -> None:
    document: dict[str, Any] = {"stack": kept.stack, "folder": str(kept.folder), "update": kept.update}
    document |= {"variables": dict(kept.variables)} if kept.variables else {}
    with new_file(_path(folders, name)) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")


def _path(folders: Folders, name: str) -> Path:
    return folders.environments / f"{name}.update"


def _ask(arguments: list[str], folder: Path, stack: str, variables: Mapping[str, str]) -> Any:
    found = program(folder)
    if found is None:
        raise CapabilityError(
            "the program `pulumi` is not installed, which reads the stack's output",
            given=stack,
            todo="install Pulumi, or take the environment's document with `mlinfra env add FILE`",
        )
    command = [str(found), *arguments, "--non-interactive", "--color", "never"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise Unavailable(f"pulumi gave no answer in {_PATIENCE} s", given=stack) from exc
    if done.returncode:
        raise _refusal(done.stderr.strip(), stack, " ".join(["pulumi", *arguments]))
    try:
        return json.loads(done.stdout)
    except ValueError as exc:
        raise Unavailable("pulumi answered something that is no JSON", given=done.stdout) from exc


def _refusal(said: str, stack: str, command: str) -> EnvironmentNotFound | Unavailable:
    reason = said.splitlines()[-1].removeprefix("error: ") if said else "no reason given"
    if _UNKNOWN_STACK in said:
        return EnvironmentNotFound(
            "there is no such stack", given=stack, todo="`pulumi stack ls` shows those there are"
        )
    if _UNKNOWN_OUTPUT in said:
        return EnvironmentNotFound(
            f"stack {stack} has no output {OUTPUT!r}", given=stack, todo=f"pulumi up --stack {stack}"
        )
    return Unavailable(f"pulumi could not read stack {stack}: {reason}", todo=f"see what `{command}` says")
