"""Private container paths without containers: a job sees `/opt/ml` where nobody else does.

Linux namespaces do it where the machine allows them, bubblewrap where only it is allowed, and else a prefix that
the kit's runner honours. Nothing that lies beside a private path is hidden, and the real file system is left alone.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NONE, NAMESPACE, BUBBLEWRAP, PREFIX = "none", "namespace", "bubblewrap", "path prefix"
CONTAINER_ROOT = "MLINFRA_CONTAINER_ROOT"
_ROOT = PurePosixPath("/")
_SYSTEM_PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACES = (["unshare", "-m"], ["unshare", "-Urm"])  # as root, and as an ordinary user


@dataclass(frozen=True)
class Isolation:
    """How container paths are provided, and why not in a better way. `tool` is the program's first arguments."""

    kind: str
    reason: str = ""
    tool: tuple[str, ...] | list[str] = ()


def choose(mounts: Mapping[str, str]) -> Isolation:
    """The best way that works on this machine for these mounts (container path -> host path)."""
    return best() if mounts else Isolation(NONE, "no container paths were asked for")


@cache
def best() -> Isolation:
    """The best way that works on this machine; tried once per process."""
    for tool in _NAMESPACES:
        if _works([*tool, _program("mount"), "-t", "tmpfs", "tmpfs", "/mnt"]):
            return Isolation(NAMESPACE, "", tool)
    if _works(["bwrap", "--dev-bind", "/", "/", "true"]):
        return Isolation(BUBBLEWRAP, "this machine refuses mount namespaces", ["bwrap"])
    return Isolation(
        PREFIX,
        "this machine refuses mount namespaces, and bubblewrap is missing or refused as well; "
        f"container paths lie below ${CONTAINER_ROOT}",
    )


def enter(isolation: Isolation, mounts: Mapping[str, str], argv: Sequence[str], folder: Path) -> list[str]:
    """The argument vector that runs `argv` with the mounts in place. `folder` is this command's own.

    With namespaces the command keeps the process id that was started; under bubblewrap it is that one's child.
    """
    if isolation.kind == NAMESPACE and mounts:
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "enter.sh"
        script.write_text("\n".join(_script(mounts, folder)) + "\n")
        return [*isolation.tool, "/bin/sh", str(script), *argv]
    if isolation.kind == BUBBLEWRAP and mounts:
        return [*isolation.tool, "--die-with-parent", *_bubblewrap(mounts), "--", *argv]
    if isolation.kind == PREFIX:
        _link(mounts, folder / "tree")
    return list(argv)


def variables(isolation: Isolation, folder: Path) -> dict[str, str]:
    """What the command's environment must hold for its container paths to be found."""
    return {CONTAINER_ROOT: str(folder / "tree")} if isolation.kind == PREFIX else {}


def _works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _program(name: str) -> str:
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATHS) or name


def _ordered(mounts: Mapping[str, str]) -> list[tuple[PurePosixPath, Path]]:
    """Outer paths before those inside them."""
    return sorted((PurePosixPath(path), Path(source)) for path, source in mounts.items())


def _anchor(target: PurePosixPath) -> PurePosixPath:
    """The nearest folder on the way to a target that is really there."""
    return next(parent for parent in target.parents if Path(parent).is_dir())


def _overlaid(mounts: Mapping[str, str]) -> list[PurePosixPath]:
    """The real folders that need a writable copy, because a target below them is not there."""
    targets = [PurePosixPath(path) for path in mounts]
    missing = [target for target in targets if not Path(target).exists()]
    anchors = {
        _anchor(target)
        for target in missing
        if not any(other in target.parents for other in targets if other != target)
    }
    return sorted(anchors)


def _script(mounts: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The shell lines that put the mounts in place and become the command, whose arguments follow the script's."""
    mount = _program("mount")
    overlaid = _overlaid(mounts)
    root = folder / "tree" if _ROOT in overlaid else Path("/")
    yield "set -e"
    yield 'at="$PWD"'
    for number, original in enumerate(overlaid):
        copy = root if original == _ROOT else folder / f"copy-{number}"
        yield from _copy(original, copy, mount)
        if original != _ROOT:
            yield f"{mount} --rbind {_q(copy)} {_q(root / original.relative_to('/'))}"
    for target, source in _ordered(mounts):
        place = root / target.relative_to("/")
        yield _placeholder(source, place)
        yield f"{mount} --rbind {_q(source)} {_q(place)}"
    if _ROOT in overlaid:
        yield f'exec {_program("chroot")} {_q(root)} /bin/sh -c \'cd "$0" && exec "$@"\' "$at" "$@"'
    else:
        yield 'cd "$at"'
        yield 'exec "$@"'


def _copy(folder: PurePosixPath, copy: Path, mount: str) -> Iterator[str]:
    """Make a fresh file system that holds all that a folder holds, and can hold more."""
    yield f"mkdir -p {_q(copy)}"
    yield f"{mount} -t tmpfs tmpfs {_q(copy)}"
    for entry in sorted(Path(folder).iterdir()):
        place = copy / entry.name
        if entry.is_symlink():
            yield f"ln -s {_q(entry.readlink())} {_q(place)}"
        else:
            yield _placeholder(entry, place)
            yield f"{mount} --rbind {_q(entry)} {_q(place)}"


def _placeholder(source: Path, place: Path) -> str:
    """Make something of the same kind for a mount to cover, unless it is there."""
    if source.is_dir():
        return f"mkdir -p {_q(place)}"
    return f"mkdir -p {_q(place.parent)}; [ -e {_q(place)} ] || : > {_q(place)}"


def _bubblewrap(mounts: Mapping[str, str]) -> Iterator[str]:
    overlaid = _overlaid(mounts)
    if _ROOT not in overlaid:
        yield from ("--dev-bind", "/", "/")
    for folder in overlaid:
        if folder != _ROOT:
            yield from ("--tmpfs", str(folder))
        for entry in sorted(Path(folder).iterdir()):
            if entry.is_symlink():
                yield from ("--symlink", str(entry.readlink()), str(entry))
            else:
                yield from ("--dev-bind", str(entry), str(entry))
    for target, source in _ordered(mounts):
        yield from ("--dev-bind", str(source), str(target))


def _link(mounts: Mapping[str, str], tree: Path) -> None:
    for target, source in _ordered(mounts):
        place = tree / target.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_symlink():
            place.symlink_to(source)


def _q(path: Path | PurePosixPath) -> str:
    return shlex.quote(str(path))
