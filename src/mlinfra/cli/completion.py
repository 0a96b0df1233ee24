"""`mlinfra completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from mlinfra.cli.commands import Verb
from mlinfra.cli.main import COMPLETION, PROGRAM
from mlinfra.errors import KitFault

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation


@click.command(cls=Verb, prints="shell: str, source: str", example='eval "$(mlinfra completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete commands, options and environment names.

    Load it in the shell's start-up file.
    """
    invocation: Invocation = context.obj
    found = get_completion_class(shell)
    if found is None:
        raise KitFault(f"completion for {shell} is gone from the command line's library")
    source = found(context.find_root().command, {}, PROGRAM, COMPLETION).source()
    if invocation.as_json:
        invocation.show({"shell": shell, "source": source})
    else:
        click.echo(source)
