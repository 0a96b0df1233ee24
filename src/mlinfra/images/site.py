"""Packages for the inside of an image: resolved and unpacked by uv for the image's platform, not for this machine.

Wheels alone: an image is put together without running anything of what goes into it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from mlinfra.errors import CapabilityError
from mlinfra.images.content import canonical
from mlinfra.images.layer import Entry, file_entry, folder_entries
from mlinfra.package import Lock
from mlinfra.package.atomic import new_file, new_folder
from mlinfra.package.uvtool import run_uv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

HOME = "opt/mlinfra"
SITE = f"{HOME}/site"
LOCK = f"{HOME}/requirements.lock"
PLATFORMS = {  # what a registry calls a platform -> what uv does; glibc 2.28 is that of Debian 10 and RHEL 8
    "linux/amd64": "x86_64-manylinux_2_28",
    "linux/arm64": "aarch64-manylinux_2_28",
}
_FORMAT = 1  # raise when the same requirements are locked into another text
_DISTRIBUTION = "mlinfra-kit"
_LEFT_OUT = (".lock", "uv_cache.json", "direct_url.json")  # uv's own, with paths and times of this machine
_INTERPRETER = b"#!/usr/bin/env python3\n"


def serving_requirements() -> tuple[str, ...]:
    """What the model server needs: the kit's own extra `serving`, as it is declared."""
    declared = (Requirement(text) for text in importlib.metadata.requires(_DISTRIBUTION) or ())
    ours = (item for item in declared if item.marker and item.marker.evaluate({"extra": "serving"}))
    return tuple(sorted(f"{item.name}{item.specifier}" for item in ours))


def lock_for(requirements: Sequence[str], python: str, platform: str, cache: Path, index: str = "") -> Lock:
    """Every package with version and hashes, for a platform of `PLATFORMS`. Blocks while uv resolves.

    The answer is kept: the same requirements are resolved once. A requirement with a hash stays what it is.

    Raises:
        SpecError: a requirement is none, or no wheels satisfy all of them.
        Unavailable: the package index gives no answer.
    """
    text = "".join(f"{line}\n" for line in sorted(set(requirements)))
    asked = canonical([_FORMAT, text, python, uv_platform(platform), index])
    place = cache / "locks" / hashlib.sha256(asked).hexdigest()[:32]
    wanted, kept = place.with_suffix(".in"), place.with_suffix(".txt")
    if not kept.exists():
        with new_file(wanted) as file:
            file.write(text.encode())
        arguments = ["pip", "compile", str(wanted.resolve()), "--python-version", python, "--only-binary", ":all:"]
        arguments += ["--python-platform", uv_platform(platform), "--generate-hashes", "--no-header", "--no-annotate"]
        arguments += ["--quiet", *(["--default-index", index] if index else [])]
        locked = run_uv(arguments, wanted.resolve().parent, about=", ".join(requirements))
        with new_file(kept) as file:
            file.write(locked.encode())
    return Lock.of(kept.read_text(encoding="utf-8"))


def uv_platform(platform: str) -> str:
    """The word that uv has for a platform.

    Raises:
        CapabilityError: no packages can be chosen for it.
    """
    if platform not in PLATFORMS:
        what = "packages cannot be chosen for this platform"
        raise CapabilityError(what, given=platform, allowed=", ".join(PLATFORMS))
    return PLATFORMS[platform]


def unpacked(locked: Lock, python: str, platform: str, cache: Path, index: str = "") -> Path:
    """A folder that holds the lock's packages, made on first use. Blocks while uv fetches.

    Raises:
        SpecError: a package has no wheel for the platform, or another hash than the lock says.
        Unavailable: the package index gives no answer.
    """
    name = hashlib.sha256(f"{locked.digest} {python} {platform}".encode()).hexdigest()[:32]
    target = cache / "site" / name
    if not target.is_dir():
        with new_folder(target) as draft:
            _install(locked, python, platform, draft, index)
    return target


def site_entries(folder: Path, locked: Lock) -> Iterator[Entry]:
    """What `unpacked` gave, as the image holds it: nothing in it tells of the machine that unpacked it."""
    yield file_entry(LOCK, locked.text.encode())
    for entry in folder_entries(folder, SITE):
        name = entry.path.removeprefix(f"{SITE}/")
        if name.rpartition("/")[2] in _LEFT_OUT:
            continue
        if name.startswith("bin/") and entry.source is not None:
            with entry.open() as content:
                yield file_entry(entry.path, _script(content.read()), program=True)
        elif name.endswith(".dist-info/RECORD"):
            with entry.open() as content:
                yield file_entry(entry.path, _record(content.read()))
        else:
            yield entry


def _install(locked: Lock, python: str, platform: str, target: Path, index: str) -> None:
    if not locked.packages:
        return
    wanted = target / ".lock"
    wanted.write_text(locked.text, encoding="utf-8")
    arguments = ["pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    arguments += ["--python", sys.executable, "--python-version", python, "--python-platform", uv_platform(platform)]
    arguments += ["--default-index", index] if index else []
    run_uv([*arguments, "--target", str(target), "-r", str(wanted)], target, about=", ".join(locked.packages))


def _script(content: bytes) -> bytes:
    """A script that finds the image's interpreter, whatever uv wrote for the one here."""
    first, _, rest = content.partition(b"\n")
    if first == b"#!/bin/sh" and rest.startswith(b"'''exec'"):  # how uv names an interpreter with a long path
        return _INTERPRETER + rest.split(b"\n", 2)[2]
    return _INTERPRETER + rest if first.startswith(b"#!") and b"python" in first else content


def _record(content: bytes) -> bytes:
    """The list of a package's files, without those that were changed or left out."""
    lines = content.splitlines(keepends=True)
    paths = [line.partition(b",")[0].decode("utf-8", "replace") for line in lines]
    kept = [
        line
        for line, path in zip(lines, paths, strict=True)
        if not path.startswith(("bin/", "../")) and path.rpartition("/")[2] not in _LEFT_OUT
    ]
    return b"".join(sorted(kept))
