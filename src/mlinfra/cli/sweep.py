"""`mlinfra env sweep`: what is forgotten costs money by the hour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli.commands import Verb, destructive
from mlinfra.cli.output import Table, ago
from mlinfra.cli.parameters import length_of_time

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation
    from mlinfra.engine.sweeping import Due, Swept


@click.command(
    cls=Verb,
    prints="due: [{kind, name, why, created}], deleted: [str], failed: [{kind, name, problem}]",
    example="mlinfra env sweep aws-dev --older-than 30d --yes",
)
@click.argument("name", required=False)
@click.option(
    "--older-than",
    callback=length_of_time,
    metavar="TIME",
    help="Also endpoints made and jobs ended longer ago than this: 12h, 30d.",
)
@click.option("--all", "everything", is_flag=True, show_default=False, help="All endpoints, jobs and models.")
@destructive
@click.pass_obj
def sweep(
    invocation: Invocation,
    name: str | None,
    *,
    older_than: float | None,
    everything: bool,
    yes: bool,
    confirm: str | None,
) -> None:
    """Take away what the kit made and what has outlived its time.

    Without options: endpoints whose time to live is over, and records of endpoints that are gone. Nothing that a stack
    owns, and nothing without the kit's tags. Without --yes it tells what it would delete and touches nothing. What
    cannot be deleted does not keep the rest from it. Safe to repeat.
    """
    invocation.named(name)
    if yes:
        invocation.confirm("deleting what the kit made", yes=yes, confirm=confirm)
    with invocation.connect() as environment:
        swept = environment.sweep(older_than=older_than, everything=everything, look_only=not yes)
    _show(invocation, swept)
    if swept.due and not yes:
        invocation.say("nothing was touched: add --yes to delete these")
    for _, problem in swept.failed:
        raise problem


def _show(invocation: Invocation, swept: Swept) -> None:
    rows = [(each.kind, each.name, ago(each.created), each.why, _outcome(swept, each)) for each in swept.due]
    invocation.show(
        {
            "due": [vars(each) for each in swept.due],
            "deleted": [each.name for each in swept.deleted],
            "failed": [{"kind": each.kind, "name": each.name, "problem": str(exc)} for each, exc in swept.failed],
        },
        Table(("kind", "name", "created", "why", "outcome"), rows, empty="nothing to sweep"),
    )


def _outcome(swept: Swept, due: Due) -> Any:
    if due in swept.deleted:
        return "deleted"
    return "stays" if any(each is due for each, _ in swept.failed) else "-"
