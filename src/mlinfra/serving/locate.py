"""Where the model is: the folder that was named, or the one inside it that the platform put the model into."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlinfra.errors import NotFound, Unavailable, UsageError
from mlinfra.modelkit import MANIFEST_NAME

if TYPE_CHECKING:
    from mlinfra.serving.settings import Settings

_DEPTH = 3  # a mount may hold <name>/<version>/<folder>


def find_model(settings: Settings) -> tuple[Path, str]:
    """The package's folder and a name for it. Raises NotFound, UsageError where none was named."""
    if not settings.model:
        todo = "name it with --model FOLDER"
        raise UsageError("no model package was named, and no platform put one in its place", todo=todo)
    root = _local(settings.model)
    if not root.is_dir():
        raise NotFound("no such folder", given=str(root))
    folder = package_in(root)
    return folder, folder.resolve().name


def package_in(root: Path) -> Path:
    """The folder that holds the manifest; the only one, if it is further down. Raises NotFound, UsageError."""
    for depth in range(_DEPTH + 1):
        found = sorted(root.glob("/".join(["*"] * depth + [MANIFEST_NAME])))
        if len(found) == 1:
            return found[0].parent
        if found:
            given = ", ".join(str(path.parent) for path in found)
            raise UsageError("several model packages lie there", given=given, todo="name one with --model FOLDER")
    raise NotFound(f"no {MANIFEST_NAME} in this folder", given=str(root), todo="save the model with mlinfra.save_model")


def _local(address: str) -> Path:
    if "://" not in address:
        return Path(address)
    if address.startswith("file://"):
        return Path(address.removeprefix("file://"))
    from mlinfra.runner.fetch import fetch  # noqa: PLC0415  most servers find their model in a folder

    try:
        return fetch(address, Path(tempfile.mkdtemp(prefix="mlinfra-")) / "model")
    except Exception as exc:
        raise Unavailable("the model could not be brought here", given=address, todo=str(exc)) from exc
