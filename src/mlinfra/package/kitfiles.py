"""The kit's own files that travel in a bundle, read from the installed package: one table."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

TRAVELS = ("__init__.py", "errors.py", "modelkit", "runner")  # below `mlinfra`; all of it runs on Python 3.9
_KINDS = (".py", ".json")  # nothing compiled, nothing an editor left behind: the same bytes from every machine

MAIN = b"""import sys

from mlinfra.runner.main import main

if __name__ == "__main__":
    sys.exit(main())
"""


@cache
def kit_files() -> dict[str, bytes]:
    """Path inside the bundle -> bytes, in the order of the paths."""
    package = resources.files("mlinfra")
    found = {"__main__.py": MAIN}
    for name in TRAVELS:
        found.update(_below(package / name, f"mlinfra/{name}"))
    return dict(sorted(found.items()))


def _below(place: Traversable, path: str) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        for child in place.iterdir():
            yield from _below(child, f"{path}/{child.name}")
    elif path.endswith(_KINDS):
        yield path, place.read_bytes()
