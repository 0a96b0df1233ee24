"""Which program and interpreter stand for a container image: there are no containers here.

Known are the images that were registered with what they hold, as a seeded environment's are. Whether an image that
nobody registered is refused in the service's words, or as not emulated, is its cloud's business.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from mlinfra.host.interpreters import resolve

PYTHON = "{python}"  # stands for the image's interpreter in a command
KIT_SERVER = (PYTHON, "-m", "mlinfra.serving")


class Contents(NamedTuple):
    """What an image holds: a Python as `3.11` (empty: the kit's own), the text of its locked packages, what it runs."""

    python: str = ""
    requirements_lock: str = ""
    command: tuple[str, ...] = ()

    def interpreter(self) -> dict[str, Any]:
        """The `interpreter` of a request to the host."""
        told = {"python": self.python, "requirements_lock": self.requirements_lock}
        return {name: value for name, value in told.items() if value}


class Programs:
    """The images that were registered, by their addresses."""

    def __init__(self) -> None:
        self._known: dict[str, Contents] = {}

    def register(self, uri: str, python: str = "", requirements_lock: str = "", command: tuple[str, ...] = ()) -> None:
        """Say what an image holds, and which program it runs: its ENTRYPOINT. Safe to repeat.

        `{python}` as an element of the command is the image's interpreter.
        """
        self._known[uri] = Contents(python, requirements_lock, command)

    def forget(self, uri: str) -> None:
        """Know an image no longer. Safe to repeat."""
        self._known.pop(uri, None)

    def known(self) -> list[str]:
        """The images that were registered."""
        return sorted(self._known)

    def at_hand(self, uri: str) -> Contents:
        """What an image holds.

        Raises:
            KeyError: it was not registered.
            CapabilityError: this machine has no such Python.
        """
        return _at_hand(self._known[uri])


@cache
def _at_hand(contents: Contents) -> Contents:
    resolve(contents.python or None, contents.requirements_lock or None, None, {})
    return contents
