"""Folders on their way out: taken from sight at once, removed in full afterwards, even by the next process."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

    from mlinfra.host.layout import Layout


def take(layout: Layout, folder: Path) -> None:
    """Take a folder from its place, if it is there."""
    layout.trash.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.exists():
        folder.rename(layout.trash / uuid4().hex)


def empty(layout: Layout) -> None:
    """Remove what was taken, also by a process that did not live to do it."""
    for folder in layout.trash.glob("*"):
        shutil.rmtree(folder, ignore_errors=True)
