"""Which engine is run, and what it and the programs that it starts see of this process's environment."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pulumi.automation import PulumiCommand

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def within(variables: Mapping[str, str]) -> Iterator[None]:
    """Let this process have exactly these variables for the while: the engine's client can add some, but take none."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def python() -> dict[str, str]:
    """What lets providers written in Python find the interpreter that we run in, where a project names none."""
    return {} if "PULUMI_PYTHON_CMD" in os.environ else {"PULUMI_PYTHON_CMD": sys.executable}


def command(program: Path) -> PulumiCommand:
    """The engine's program as its client wants it: in a folder `bin`, or on PATH."""
    root = program.parent.parent
    return PulumiCommand(str(root) if root / "bin" / "pulumi" == program else None)
