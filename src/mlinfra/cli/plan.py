"""`mlinfra plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli.commands import Verb
from mlinfra.cli.output import Table, facts
from mlinfra.cli.parameters import set_option
from mlinfra.contract.adapter import load, platforms
from mlinfra.engine import environments, planning
from mlinfra.engine.sources import read, settle
from mlinfra.environment import parse
from mlinfra.errors import EnvironmentNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlinfra.cli.context import Invocation
    from mlinfra.engine.plan import Plan
    from mlinfra.environment import Environment

PLACEHOLDER = "placeholder"
_NEEDED: dict[str, dict[str, Any]] = {  # what a platform's document cannot be without
    "aws": {
        "region": "eu-west-1",
        "account": "000000000000",
        "stores": {"artefacts": {"uri": f"s3://{PLACEHOLDER}"}},
        "images": {"serving": {"uri": f"000000000000.dkr.ecr.eu-west-1.amazonaws.com/{PLACEHOLDER}"}},
        "identities": {
            identity: f"arn:aws:iam::000000000000:role/{PLACEHOLDER}-{identity}" for identity in ("trainer", "server")
        },
    },
    "azure": {
        "region": "westeurope",
        "account": PLACEHOLDER,
        "resource_group": PLACEHOLDER,
        "workspace": PLACEHOLDER,
        "stores": {"artefacts": {"uri": f"https://{PLACEHOLDER}.blob.core.windows.net/artefacts"}},
        "images": {kind: {"uri": f"{PLACEHOLDER}.azurecr.io/{kind}", "python": "3.11"} for kind in ("base", "serving")},
        "identities": {
            identity: f"/subscriptions/{PLACEHOLDER}/resourceGroups/{PLACEHOLDER}/providers/Microsoft.ManagedIdentity/"
            f"userAssignedIdentities/{identity}"
            for identity in ("trainer", "server")
        },
    },
    "gcp": {
        "region": "europe-west4",
        "account": PLACEHOLDER,
        "stores": {"artefacts": {"uri": f"gs://{PLACEHOLDER}"}},
        "images": {
            kind: {"uri": f"europe-west4-docker.pkg.dev/{PLACEHOLDER}/{PLACEHOLDER}/{kind}", "python": "3.11"}
            for kind in ("base", "serving")
        },
        "identities": {
            identity: f"{identity}@{PLACEHOLDER}.iam.gserviceaccount.com" for identity in ("trainer", "server")
        },
    },
}


@click.command(
    cls=Verb,
    prints="plans: [{kind, name, environment, platform, observed, requests, choices, losses, permissions, notes, …}]",
    example="mlinfra plan mlinfra.yaml --all",
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--all", "everywhere", is_flag=True, show_default=False, help="Every platform side by side.")
@click.option("--live", is_flag=True, show_default=False, help="Ask first what is there; needs an account.")
@click.option("--files", "listing", is_flag=True, show_default=False, help="Only list the code that would travel.")
@set_option
@click.pass_obj
def plan(
    invocation: Invocation,
    files: tuple[Path, ...],
    *,
    everywhere: bool,
    live: bool,
    listing: bool,
    settings: tuple[str, ...],
) -> None:
    """Show what files would lead to; send nothing.

    Prints the requests themselves, the machine chosen and why, what the platform does not do as written, and the
    permissions needed. What only the platform can tell stands as `resolved at submit`.
    """
    if everywhere + live + listing > 1:
        raise UsageError("--all, --live and --files exclude each other", todo="give one of them")
    if listing:
        _list_files(invocation, files)
    elif everywhere:
        found = list(_everywhere(invocation, files, settings))
        invocation.show({"plans": [each.as_document() for each in found]}, _side_by_side(found))
    else:
        found = list(_planned(invocation, files, settings, live=live))
        for each in found:
            invocation.show({"plans": [one.as_document() for one in found]}, *_tables(each))


def _planned(invocation: Invocation, files: Iterable[Path], settings: tuple[str, ...], *, live: bool) -> Iterator[Plan]:
    if live:
        with invocation.connect() as environment:
            yield from planning.plan_live(files, environment.session, settings)
        return
    there = invocation.choose().environment
    yield from planning.plan(files, there, load(there.platform), invocation.folders, settings)


def _everywhere(invocation: Invocation, files: tuple[Path, ...], settings: tuple[str, ...]) -> Iterator[Plan]:
    """One environment for each platform: the chosen one, one that is known, or a placeholder that says so."""
    chosen = invocation.choose().environment
    known = {each.platform: each for each in _known(invocation)} | {chosen.platform: chosen}
    for platform in platforms():
        there = known.get(platform) or _placeholder(platform)
        yield from planning.plan_or_refusal(files, there, load(platform), invocation.folders, settings)


def _known(invocation: Invocation) -> Iterator[Environment]:
    for name in reversed(environments.names(invocation.folders)):
        try:
            yield environments.get(invocation.folders, name)
        except EnvironmentNotFound:  # forgotten by another process meanwhile
            continue


def _placeholder(platform: str) -> Environment:
    return parse({"name": f"{PLACEHOLDER}-{platform}"[:32], "platform": platform, **_NEEDED.get(platform, {})})


def _list_files(invocation: Invocation, files: Iterable[Path]) -> None:
    there = invocation.choose().environment
    sources = read(files, invocation.folders)
    found: list[dict[str, Any]] = []
    for spec, base in sources.jobs:
        for path, size in planning.code_of(settle(spec, there), base, invocation.folders):
            found.append({"job": spec.name, "path": path, "size": size})
    rows = [(each["job"], each["path"], each["size"]) for each in found]
    total = sum(each["size"] for each in found)
    invocation.show({"files": found, "size": total}, Table(("job", "path", "bytes"), rows, empty="no code travels"))
    invocation.say(f"{len(found)} files, {total} bytes")


def _tables(planned: Plan) -> Iterator[Table]:
    """What people want to know before they say yes."""
    yield facts(
        {
            planned.kind: planned.name,
            "environment": f"{planned.environment} ({planned.platform})",
            "rendered from": "what is there" if planned.observed == "live" else "the empty state",
            "notes": planned.notes,
        }
    )
    if planned.choices:
        rows = [(each.subject, each.value, each.count, each.reason, each.price) for each in planned.choices]
        yield Table(("choice", "value", "count", "reason", "price"), rows)
    if planned.losses:
        yield Table(("field", "done", "reason"), [(each.field, each.treatment, each.reason) for each in planned.losses])
    if planned.permissions:
        yield Table(("identity", "permissions"), [(who, list(what)) for who, what in planned.permissions.items()])
    for request in planned.requests:
        body = json.dumps(request.as_document()["body"], indent=2, ensure_ascii=False)
        title = f"{request.step}: {request.service}.{request.operation}"
        yield Table((), [(line,) for line in body.splitlines()], title)


def _side_by_side(found: list[Plan]) -> Table:
    rows = [
        (
            f"{each.kind} {each.name}",
            each.environment,
            each.platform,
            {choice.subject: choice.value for choice in each.choices},
            ", ".join(choice.price for choice in each.choices if choice.price),
            [f"{loss.field}: {loss.treatment}" for loss in each.losses],
            each.refusal,
        )
        for each in found
    ]
    return Table(("what", "environment", "platform", "choices", "price", "losses", "refused"), rows)
