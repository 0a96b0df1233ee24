"""Where the state of a stack lies and what keeps its secrets: asked for, written into the project, or the default."""

from __future__ import annotations

import json
import os
import tomllib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlinfra.errors import Denied, SpecError, UsageError
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.engine.folders import Folders
    from mlinfra.infra.automation.places import Place

BACKEND: Final = "PULUMI_BACKEND_URL"
PASSPHRASE: Final = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105  a variable's name
HOME: Final = "PULUMI_HOME"
TABLE: Final = "state"  # of mlinfra.toml: [state.aws-prod] backend = "s3://…", secrets = "awskms://…"
_FILE: Final = "file://"
_SALT: Final = "encryptionsalt:"  # of the passphrase, in a stack's own file
_KEYED: Final = ("awskms", "azurekeyvault", "gcpkms", "hashivault")
_SCHEMES: Final = ("azblob", "file", "gs", "http", "https", "postgres", "s3")


@dataclass(frozen=True)
class State:
    """A backend and how its secrets are kept. `variables` are what plain `pulumi` needs to reach the same state."""

    backend: str
    because: str
    secrets: str = ""  # a secrets provider's address; empty for the backend's own
    home: str = ""  # PULUMI_HOME where it is not the user's own
    variables: Mapping[str, str] = field(default_factory=dict)


def choose(place: Place, folders: Folders) -> State:
    """The state of a stack: its own where it is emulated, `PULUMI_BACKEND_URL`, the project's word, a login, a folder.

    Creates nothing but the folder of a local state.

    Raises:
        UsageError: nothing says where the state of a cloud's stack lies.
        Denied: a prod stack's secrets would be kept behind a passphrase.
        SpecError: what the project says is not readable.
    """
    if place.emulated:
        return _apart(folders.for_emulated(place.stack).records / "pulumi")
    found = _asked(place) or _written(place, folders) or _logged_in() or _local(place, folders)
    if found is None:
        raise UsageError(
            f"nothing says where the state of {place.stack} lies",
            allowed=f"{BACKEND}, [{TABLE}.{place.stack}] in mlinfra.toml, or a login",
            todo=f"`mlinfra env bootstrap {place.stack}` makes a place for it",
        )
    _check_secrets(place, found)
    return found


def write(folders: Folders, stack: str, backend: str, secrets: str) -> Path:
    """Write into the project where a stack's state lies, for everybody who works on it. Safe to repeat.

    Raises:
        SpecError: mlinfra.toml is not readable.
    """
    old = folders.config.read_text() if folders.config.is_file() else ""
    _tables(old, folders.config)
    kept = _without(old.splitlines(), f"[{TABLE}.{stack}]")
    entry = [f"[{TABLE}.{stack}]", f"backend = {json.dumps(backend)}", f"secrets = {json.dumps(secrets)}"]
    with new_file(folders.config) as file:
        file.write(("\n".join([*kept, "", *entry]).lstrip("\n") + "\n").encode())
    return folders.config


def in_folder(folder: Path, because: str) -> State:
    """A state in a folder of this machine, whose secrets no passphrase keeps: there are none in an environment."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    backend = f"{_FILE}{folder}"
    return State(backend, because, "passphrase", variables={BACKEND: backend, PASSPHRASE: ""})


def mend(state: State) -> None:
    """Take away what a killed engine left half-written in a state on this machine. Safe to repeat.

    Beside each file the engine's library keeps one with its attributes, which it makes empty before it fills it; what
    lies beside an empty one it cannot read ("EOF"), and without any it reads it all the same.
    """
    if not state.backend.startswith(_FILE):
        return
    folder = Path(state.backend.removeprefix(_FILE).partition("?")[0]).expanduser() / ".pulumi"
    for attributes in folder.rglob("*.attrs"):
        with suppress(FileNotFoundError):  # whoever else works with this state may have taken it away
            if not attributes.stat().st_size:
                attributes.unlink()


@contextmanager
def unsalted(place: Place, state: State) -> Iterator[None]:
    """Leave the stack's file as it was where the engine writes nothing into it but a salt for an empty passphrase.

    The file belongs under version control, and such a salt, another one on each machine, keeps nothing.
    """
    before = place.file.read_bytes()
    try:
        yield
    finally:
        lines = place.file.read_bytes().decode().splitlines()
        rest = [line for line in lines if not line.startswith(_SALT)]
        passphrase = {**os.environ, **state.variables}.get(PASSPHRASE)
        if passphrase == "" and rest == before.decode().splitlines() != lines:
            place.file.write_bytes(before)


def _apart(folder: Path) -> State:
    state = in_folder(folder / "state", "an emulated environment has a state of its own")
    home = str(folder / "home")
    return State(state.backend, state.because, state.secrets, home, {**state.variables, HOME: home})


def _asked(place: Place) -> State | None:
    backend = os.environ.get(BACKEND)
    if not backend:
        return None
    free = not _has_passphrase() and place.platform == "local"
    return State(backend, BACKEND, variables={PASSPHRASE: ""} if free else {})


def _written(place: Place, folders: Folders) -> State | None:
    text = folders.config.read_text() if folders.config.is_file() else ""
    entry = _tables(text, folders.config).get(place.stack)
    if entry is None:
        return None
    backend = str(entry.get("backend", ""))
    if urlsplit(backend).scheme not in _SCHEMES:
        raise SpecError(
            f"{folders.config.name}: {TABLE}.{place.stack}.backend is no state backend",
            given=backend,
            allowed=", ".join(f"{scheme}://…" for scheme in _SCHEMES),
        )
    if backend.startswith(_FILE):
        return in_folder((folders.root / backend.removeprefix(_FILE)).resolve(), folders.config.name)
    return State(backend, folders.config.name, str(entry.get("secrets", "")), variables={BACKEND: backend})


def _logged_in() -> State | None:
    home = Path(os.environ.get(HOME) or Path.home() / ".pulumi")
    try:
        current = json.loads((home / "credentials.json").read_text()).get("current")
    except (OSError, ValueError, AttributeError):
        return None
    return State(str(current), "pulumi login") if current else None


def _local(place: Place, folders: Folders) -> State | None:
    """The machine's own environments need no bootstrap: their state lies with the project."""
    return in_folder(folders.project / "pulumi", "default of a local stack") if place.platform == "local" else None


def _check_secrets(place: Place, state: State) -> None:
    """Never a passphrase in prod: everybody who deploys would have to know it."""
    if place.stage != "prod" or place.platform == "local" or state.backend.startswith(("http://", "https://")):
        return
    named = state.secrets or str(place.settings.get("secretsprovider", ""))
    if named.partition(":")[0] not in _KEYED:
        raise Denied(
            f"{place.stack} is prod, and its secrets would be kept behind a passphrase",
            given=named or "passphrase",
            allowed=", ".join(f"{scheme}://…" for scheme in _KEYED),
            todo=f"`mlinfra env bootstrap {place.stack}` makes a key for them",
        )


def _has_passphrase() -> bool:
    return any(name in os.environ for name in (PASSPHRASE, f"{PASSPHRASE}_FILE"))


def _tables(text: str, path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = tomllib.loads(text).get(TABLE, {})
    except tomllib.TOMLDecodeError as exc:
        raise SpecError(f"{path.name} is not readable: {exc}", todo="correct the file") from exc
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise SpecError(f"{path.name}: [{TABLE}] holds one table for each stack", todo="correct the file")
    return found


def _without(lines: list[str], head: str) -> list[str]:
    """The lines of a TOML file without one table."""
    kept, inside = [], False
    for line in lines:
        inside = line.strip() == head if line.lstrip().startswith("[") else inside
        if not inside:
            kept.append(line)
    return kept
