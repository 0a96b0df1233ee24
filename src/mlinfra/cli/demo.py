"""`mlinfra demo`: the credit example, from training to rollback, in a folder that is removed at the end."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli.commands import Verb
from mlinfra.errors import NotFound

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation


@click.command(cls=Verb, prints="exit_code: int", example="mlinfra demo")
@click.option("--clouds", is_flag=True, show_default=False, help="Also on every cloud that has an emulator here.")
@click.pass_obj
def demo(invocation: Invocation, *, clouds: bool) -> int:
    """Train, register, deploy, replace and roll back a credit model here.

    Takes about half a minute and leaves nothing behind. With --clouds it is done on this machine and then on each
    cloud's emulator, which takes some minutes each, and a table compares them. No account is needed.
    """
    script = _example() / ("clouds.py" if clouds else "demo.py")
    finished = subprocess.run([sys.executable, str(script)], stdout=sys.stderr, check=False)
    invocation.show({"exit_code": finished.returncode})
    return finished.returncode


def _example() -> Path:
    """The example as the wheel carries it, or as it lies in a clone.

    Raises:
        NotFound: this installation carries neither.
    """
    package = Path(str(resources.files("mlinfra")))
    places = (package / "examples" / "credit", package.parents[1] / "examples" / "credit")
    found = next((place for place in places if (place / "demo.py").is_file()), None)
    if found is None:
        raise NotFound(
            "this installation does not carry the example", given=str(places[0]), todo="reinstall mlinfra-kit"
        )
    return found
