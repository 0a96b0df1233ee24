"""One run of the command line: the options given, the environment chosen, and how to talk to people."""

from __future__ import annotations

import contextlib
import shlex
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from mlinfra.engine.folders import Folders
from mlinfra.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlinfra.api import Environment
    from mlinfra.cli.output import Table
    from mlinfra.engine.environments import Chosen
    from mlinfra.environment import Environment as Description

SCHEMA = 1  # version of the documents that `-o json` prints


class Invocation:
    """What a command is called with. `resume` is the command line that goes on after an interrupt."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.environment: str | None = None
        self.output = "json" if _asks_for_json(arguments) else "table"
        self.quiet = False
        self.debug = "--debug" in arguments
        self.resume = shlex.join(["mlinfra", *arguments])
        self.chosen: Chosen | None = None
        self._document: dict[str, Any] | None = None

    @cached_property
    def folders(self) -> Folders:
        """Where this project and this user keep things."""
        return Folders.find()

    @property
    def as_json(self) -> bool:
        """Whether stdout gets one JSON document."""
        return self.output == "json"

    @property
    def is_emulated(self) -> bool:
        """Whether the environment that was chosen is an emulator's."""
        return bool(self.chosen and self.chosen.environment.emulated)

    def say(self, text: str) -> None:
        """Tell people on stderr, on every line whether it is emulated; nobody listening is no error."""
        if self.is_emulated:
            text = f"[emulated] {text}"
        if not self.quiet:
            with contextlib.suppress(BrokenPipeError):
                click.echo(text, err=True)

    def choose(self) -> Chosen:
        """The environment to work in, said on stderr the first time.

        Raises:
            EnvironmentNotFound, Denied, SpecError: as `engine.environments.choose`.
        """
        if self.chosen is None:
            from mlinfra.engine import environments  # noqa: PLC0415  help needs none of it

            self.chosen = environments.choose(self.folders, self.environment)
            self.say(f"environment: {self.chosen.environment.name} ({self.chosen.because})")
        return self.chosen

    def named(self, name: str | None) -> Description:
        """The environment that an argument names, else the chosen one.

        Raises:
            UsageError: both were named, and differ.
        """
        if name and self.environment and name != self.environment:
            raise UsageError("two environments were named", given=f"{name} and -e {self.environment}", todo="name one")
        self.environment = name or self.environment
        return self.choose().environment

    @contextmanager
    def connect(self) -> Iterator[Environment]:
        """The environment to work in, ready to be asked and changed. Sends nothing by itself."""
        from mlinfra import api  # noqa: PLC0415  help and plan need none of it
        from mlinfra.cli.progress import Progress  # noqa: PLC0415

        chosen = self.choose().environment
        with Progress(self.say, quiet=self.quiet) as progress, api.connect(chosen, self.folders, progress.say) as there:
            yield there

    def confirm(self, verb: str, *, yes: bool, confirm: str | None) -> None:
        """Stop a destructive command that was not meant.

        Raises:
            UsageError, Denied: as `engine.environments.confirm`.
        """
        from mlinfra.engine import environments  # noqa: PLC0415  help needs none of it

        environments.confirm(self.choose().environment, yes=yes, confirmation=confirm, verb=verb)

    def show(self, document: dict[str, Any], *tables: Table) -> None:
        """Give the result: tables for people at once, the document for machines when the command ends.

        So there is one document, also when something fails after this.
        """
        if self.as_json:
            self._document = {**(self._document or {}), **document}
        else:
            from mlinfra.cli import output  # noqa: PLC0415  help needs none of it

            output.write_tables(map(output.marked, tables) if self.is_emulated else tables)

    def finish(self, **more: Any) -> None:
        """Print the one document, with what every document has: its version, and where it comes from."""
        if self._document is None and not more:
            return
        from mlinfra.cli import output  # noqa: PLC0415  help needs none of it

        chosen = self.chosen.environment if self.chosen else None
        where = {"environment": chosen.name, "emulated": chosen.emulated} if chosen else {}
        output.write_document({"schema": SCHEMA, **where, **(self._document or {}), **more})


def known_environments() -> list[str]:
    """The names of environments, for completion: from file names alone, since a shell waits for it."""
    return sorted({"local", *(path.stem for path in Folders.find().environments.glob("*.json"))})


def _asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether errors go out as JSON; known before the arguments are parsed, since parsing may be what fails."""
    joined = {"-ojson", "--output=json"}
    return any(word in joined for word in arguments) or any(
        word in {"-o", "--output"} and value == "json" for word, value in pairwise(arguments)
    )
