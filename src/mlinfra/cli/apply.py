"""`mlinfra apply`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli.commands import Verb
from mlinfra.cli.output import Table

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation
    from mlinfra.engine.apply import Applied


@click.command(cls=Verb, prints="applied: [{kind, name, outcome, id}]", example="mlinfra apply mlinfra.yaml -e aws-dev")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_obj
def apply(invocation: Invocation, files: tuple[Path, ...]) -> None:
    """Do what files say, in the order in which it depends.

    Jobs run to their end and register their models, then endpoints are deployed. Everything is checked before anything
    is sent. Safe to repeat: what is there as written is left alone. An alias that an endpoint asks for and that no
    version has yet goes to the version that a job of these files registered.
    """
    done: list[Applied] = []
    try:
        with invocation.connect() as environment:
            for each in environment.apply(*files):
                done.append(each)
                invocation.say(f"{each.kind} {each.name}: {each.outcome}")
    finally:
        rows = [(each.kind, each.name, each.outcome) for each in done]
        table = Table(("kind", "name", "outcome"), rows)
        invocation.show({"applied": [vars(each) for each in done]}, *([table] if rows else []))
