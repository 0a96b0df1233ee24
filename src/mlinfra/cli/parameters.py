"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlinfra.cli import documents
from mlinfra.errors import MlinfraError
from mlinfra.spec import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlinfra.cli.context import Invocation
    from mlinfra.contract.jobs import LogLine

Function = TypeVar("Function", bound="Callable[..., Any]")


def pairs(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`KEY=VALUE` words as a mapping."""
    found = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{word!r} is not KEY=VALUE")
        found[name] = value
    return found


def length_of_time(_context: click.Context, _option: click.Parameter, given: str | None) -> float | None:
    """`15m`, `2h` in seconds."""
    if given is None:
        return None
    try:
        return float(Duration.parse(given))
    except (MlinfraError, ValueError) as exc:
        raise click.BadParameter(f"{given!r} is not a length of time such as 15m or 2h") from exc


def print_lines(invocation: Invocation, lines: Iterable[LogLine]) -> None:
    """The text alone, as it comes; for machines all of it in the document at the end."""
    if invocation.as_json:
        invocation.show({"lines": [documents.line(each) for each in lines]})
        return
    for each in lines:
        click.echo(each.text)


def file_argument(function: Function) -> Function:
    """The spec file that a command works on."""
    return click.argument("file", type=click.Path(path_type=Path))(function)


def set_option(function: Function) -> Function:
    """`--set`, any number of times."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a field of the file: --set params.depth=8.",
    )(function)
