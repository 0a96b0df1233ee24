"""`mlinfra recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlinfra.cli import documents
from mlinfra.cli.commands import Verb
from mlinfra.cli.output import Table

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation


@click.command(
    cls=Verb,
    prints="settled: [{procedure, operation, there}], followed: [Followed], open: int",
    example="mlinfra recover -e aws-dev",
)
@click.pass_obj
def recover(invocation: Invocation) -> None:
    """Settle what a crash left open and do what is due.

    Looks up every request whose outcome is not known, and registers models or repeats interrupted jobs where that is
    due. Safe to repeat.
    """
    with invocation.connect() as environment:
        found = environment.recover()
    followed = [documents.followed(each) for each in found.followed]
    invocation.show(
        {"settled": [vars(each) for each in found.settled], "followed": followed, "open": found.open},
        Table(
            ("procedure", "request", "had its effect"),
            [(each.procedure, each.operation, each.there) for each in found.settled],
            empty="nothing was left open",
        ),
        Table(("due", "outcome"), [(each.kind, each.outcome) for each in found.followed], empty="nothing was due"),
    )
    if found.open:
        invocation.say(f"{found.open} requests belong to processes that still run; left to them")
