"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

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


def file_argument(function: Function) -> Function:
    """The spec file that a command works on."""
    return click.argument("file", type=click.Path(path_type=Path))(function)


def set_option(function: Function) -> Function:
    """`--set`, any number of times."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        callback=pairs,
        metavar="KEY=VALUE",
        help="Change a field of the file: --set params.depth=8.",
    )(function)
