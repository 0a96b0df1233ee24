"""A stack's output becomes the kept document of an environment; the stack's update number is kept beside it.

Pulumi is run as a program, as its user would run it; nothing here imports it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlinfra.engine import environments
from mlinfra.environment import parse
from mlinfra.errors import CapabilityError, EnvironmentNotFound, SpecError, Unavailable
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from mlinfra.engine.folders import Folders
    from mlinfra.environment import Environment

OUTPUT = "environment"  # the name of the stack's output that holds the document
_PATIENCE = 120  # seconds; a state backend far away
_UNKNOWN_STACK = "no stack named"
_UNKNOWN_OUTPUT = "does not have output property"


@dataclass(frozen=True)
class Kept:
    """Where a kept document came from: the stack, the folder of its program, and the number of its update."""

    stack: str
    folder: Path
    update: int


def sync(folders: Folders, stack: str, folder: Path | None = None) -> tuple[Environment, Kept]:
    """Read a stack's output and keep it, in place of what was kept under that name. `folder` holds `Pulumi.yaml`.

    Images that were pushed since, and that the stack does not name, stay.

    Raises:
        CapabilityError: the program `pulumi` is not installed.
        EnvironmentNotFound: there is no such stack, or it has no output of that name yet.
        SpecError: the output is no environment, or one of another name.
        Unavailable: Pulumi could not read the stack.
    """
    folder = folder or folders.root
    document = _ask(["stack", "output", OUTPUT, "--json", "--stack", stack], folder, stack)
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
    kept = Kept(stack, folder.resolve(), last_update(stack, folder))
    environment = _with_pushed_images(environment, folders)
    environments.keep(folders, environment, replace=True)
    _keep(folders, environment.name, kept)
    return environment, kept


def last_update(stack: str, folder: Path) -> int:
    """The number of the stack's last update, 0 where it had none.

    Raises:
        CapabilityError, EnvironmentNotFound, Unavailable: as `sync`.
    """
    updates = _ask(["stack", "history", "--json", "--stack", stack, "--page-size", "1"], folder, stack)
    newest = updates[0] if isinstance(updates, list) and updates else {}
    return int(newest.get("version", 0)) if isinstance(newest, dict) else 0


def kept(folders: Folders, name: str) -> Kept | None:
    """Where the kept document of an environment came from; None where it came from no stack."""
    try:
        document = json.loads(_path(folders, name).read_text())
        return Kept(document["stack"], Path(document["folder"]), int(document["update"]))
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
    document = {"stack": kept.stack, "folder": str(kept.folder), "update": kept.update}
    with new_file(_path(folders, name)) as file:
        file.write(json.dumps(document, indent=2).encode() + b"\n")


def _path(folders: Folders, name: str) -> Path:
    return folders.environments / f"{name}.update"


def _ask(arguments: list[str], folder: Path, stack: str) -> Any:
    program = shutil.which("pulumi")
    if program is None:
        raise CapabilityError(
            "the program `pulumi` is not installed, which reads the stack's output",
            given=stack,
            todo="install Pulumi, or take the environment's document with `mlinfra env add FILE`",
        )
    command = [program, *arguments, "--non-interactive", "--color", "never"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
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
