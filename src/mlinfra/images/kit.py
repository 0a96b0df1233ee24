"""The kit's own files inside an image: the model server and what it leans on, read from the installed package."""

from __future__ import annotations

import struct
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from mlinfra.images.layer import Entry, file_entry
from mlinfra.images.site import SITE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

_RUNNER = ("__init__.py", "errors.py", "modelkit", "runner")
ROOMS = {"runner": _RUNNER, "serving": (*_RUNNER, "serving")}
_KINDS = (".py", ".json")
_WALK = "_walk.abi3.so"
_MACHINE_AT = 18  # the field e_machine of an ELF header
_MACHINES = {62: "linux/amd64", 183: "linux/arm64"}  # EM_X86_64, EM_AARCH64


def kit_entries(kind: str, platform: str) -> list[Entry]:
    """The files of a kind of image, `serving` or `runner`, the compiled walk among them where it is of the platform."""
    package = resources.files("mlinfra")
    found = [entry for name in ROOMS[kind] for entry in _below(package / name, f"{SITE}/mlinfra/{name}")]
    walk = _walk()
    if walk is not None and machine_of(walk) == platform:
        found.append(file_entry(f"{SITE}/mlinfra/modelkit/sealing/{_WALK}", walk))
    return found


def has_walk(platform: str) -> bool:
    """Whether sealed models can be served on a platform by what is installed here."""
    walk = _walk()
    return walk is not None and machine_of(walk) == platform


def machine_of(program: bytes) -> str | None:
    """The platform of an ELF file; None for any other file."""
    if not program.startswith(b"\x7fELF") or len(program) < _MACHINE_AT + 2:
        return None
    return _MACHINES.get(struct.unpack_from("<H", program, _MACHINE_AT)[0])


@cache
def _walk() -> bytes | None:
    place = resources.files("mlinfra") / "modelkit" / "sealing" / _WALK
    return place.read_bytes() if place.is_file() else None


def _below(place: Traversable, path: str) -> Iterator[Entry]:
    if place.is_dir():
        for child in place.iterdir():
            yield from _below(child, f"{path}/{child.name}")
    elif path.endswith(_KINDS):
        yield file_entry(path, place.read_bytes())
