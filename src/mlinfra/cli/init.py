"""`mlinfra init`: a small project that runs as it is."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli.commands import Verb
from mlinfra.errors import Conflict
from mlinfra.package.atomic import new_file

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation

STARTER = ("mlinfra.toml", "mlinfra.yaml", "requirements.txt", "train.py")


@click.command(
    cls=Verb,
    prints="folder: str, files: [str]",
    example="mlinfra init my-model && cd my-model && mlinfra apply mlinfra.yaml",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.pass_obj
def init(invocation: Invocation, folder: Path) -> None:
    """Write a small project to begin with.

    A training script, a spec that trains, registers and serves its model, and a requirements file. Nothing that exists
    is overwritten.
    """
    taken = [name for name in STARTER if (folder / name).exists()]
    if taken:
        raise Conflict(
            "files of these names exist already; nothing was written",
            given=", ".join(str(folder / name) for name in taken),
            todo="choose an empty folder",
        )
    _write(folder)
    invocation.say(f"written to {folder.resolve()}; next: mlinfra apply {folder / 'mlinfra.yaml'}")
    invocation.show({"folder": str(folder.resolve()), "files": list(STARTER)})


def _write(folder: Path) -> None:
    """Write all files or none."""
    source = files("mlinfra.cli") / "starter"
    written: list[Path] = []
    try:
        for name in STARTER:
            with new_file(folder / name) as file:
                file.write((source / f"{name}.txt").read_bytes())
            written.append(folder / name)
    except BaseException:
        for path in written:
            path.unlink()
        raise
