"""`mlinfra endpoint`: model versions that answer."""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli import documents
from mlinfra.cli.commands import Family, destructive, verb
from mlinfra.cli.output import Table, ago, facts
from mlinfra.cli.parameters import file_argument, length_of_time, pairs, print_lines, set_option
from mlinfra.engine.endpoint_changes import Asked
from mlinfra.engine.health import as_document
from mlinfra.errors import SpecError, UsageError

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation
    from mlinfra.contract.health import Health
    from mlinfra.engine.endpoint_work import Outcome
    from mlinfra.engine.endpoints import Shown
    from mlinfra.engine.rollout import Rollout

_file = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_deployment = click.option("--deployment", metavar="NAME", help="Only this deployment.")
_time_limit = click.option(
    "--time-limit",
    callback=length_of_time,
    metavar="TIME",
    help="Leave the rollout where it stands after so long: 30m, 2h.  [default: none]",
)


_within = click.option(
    "--time-limit",
    callback=length_of_time,
    metavar="TIME",
    help="Wait at most so long for an asynchronous endpoint: 90s, 15m.  [default: 15m]",
)


@click.group(cls=Family)
def endpoint() -> None:
    """Endpoints: model versions that answer.

    An ENDPOINT is named by its spec's name or its handle.
    """


@verb(endpoint, "deploy", prints="outcome: Outcome", example="mlinfra endpoint deploy endpoint.yaml -e aws-dev")
@file_argument
@set_option
@_time_limit
def deploy(invocation: Invocation, file: Path, settings: tuple[str, ...], time_limit: float | None) -> None:
    """Make an endpoint serve what its file says.

    Blocks until it does, or the old version serves again: then the exit code is 6. An endpoint that is as the file says
    is left alone. May be killed at any moment; the same command goes on.
    """
    with invocation.connect() as environment:
        _show_outcome(invocation, environment.endpoints.deploy(file, set=settings, time_limit=time_limit))


@verb(endpoint, "list", prints="endpoints: [Endpoint]", example="mlinfra endpoint list -o json")
def list_(invocation: Invocation) -> None:
    """List endpoints."""
    with invocation.connect() as environment:
        found = environment.endpoints.list()
    rows = [(each.name, each.state, each.traffic, ago(each.observed.created), each.observed.expires) for each in found]
    invocation.show(
        {"endpoints": [documents.endpoint(each) for each in found]},
        Table(("endpoint", "state", "traffic", "created", "expires"), rows, empty="no endpoints"),
    )


@verb(endpoint, "show", prints="endpoint: KnownEndpoint", example="mlinfra endpoint show credit-risk")
@click.argument("reference", metavar="ENDPOINT")
def show(invocation: Invocation, reference: str) -> None:
    """Show an endpoint: what serves, where its rollout stands, how to call it."""
    with invocation.connect() as environment:
        known = environment.endpoints.get(reference).show()
    invocation.show({"endpoint": documents.known_endpoint(known)}, *_tables(known))
    if not invocation.as_json:
        click.echo(f"\n{known.snippets.curl}\n\n{known.snippets.python}")


@verb(
    endpoint,
    "invoke",
    prints="answer: {predictions: […]}, deployment: str, status: int",
    example='mlinfra endpoint invoke credit-risk --row \'{"age": 30, "home": "rent"}\'',
)
@click.argument("reference", metavar="ENDPOINT")
@click.option("--row", "rows", multiple=True, metavar="JSON", help="One row, an object by column or a list.")
@click.option("--data", type=_file, help="Rows from a file, or - for stdin: CSV, JSON lines, a JSON list, or a body.")
@_deployment
@_within
def invoke(
    invocation: Invocation,
    reference: str,
    *,
    rows: tuple[str, ...],
    data: Path | None,
    deployment: str | None,
    time_limit: float | None,
) -> None:
    """Ask for predictions.

    A file that ends with .csv or .jsonl is sent as such; JSON that is no list is sent as it is. An asynchronous
    endpoint is asked through the environment's store, and its answer waited for.
    """
    if bool(rows) == (data is not None):
        raise UsageError("say what to ask: rows with --row, or a file with --data", todo="give one of the two")
    body, content_type = _question(rows, data)
    with invocation.connect() as environment:
        subject = environment.endpoints.get(reference)
        answer = subject.invoke(body, content_type=content_type, deployment=deployment, time_limit=time_limit)
    if invocation.as_json:
        told = json.loads(answer.body)
        invocation.show({"answer": told, "deployment": answer.deployment, "status": answer.status})
    else:
        click.echo(answer.body.decode(errors="replace"))


@verb(endpoint, "replay", prints="replay: Replay", example="mlinfra endpoint replay credit-risk --since 2026-11-01")
@click.argument("reference", metavar="ENDPOINT")
@click.option(
    "--from", "source", type=click.Path(exists=True, path_type=Path), help="Records from this file or folder."
)
@_deployment
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only records of this day and later.")
@click.option("--limit", type=click.IntRange(1), help="At most that many records.  [default: all]")
def replay(
    invocation: Invocation,
    reference: str,
    *,
    source: Path | None,
    deployment: str | None,
    since: datetime | None,
    limit: int | None,
) -> int:
    """Ask again what was captured, and compare the answers bit for bit.

    Changes nothing. The exit code is 1 where an answer differs.
    """
    day: date | None = since.date() if since else None
    with invocation.connect() as environment:
        subject = environment.endpoints.get(reference)
        found = subject.replay(source=source, deployment=deployment, since=day, limit=limit)
    rows = [(each.id, each.time, each.captured, each.answered, each.reason) for each in found.differences]
    invocation.show(
        {"replay": documents.replay(found)},
        facts({"asked": found.asked, "same": found.same, "different": found.different, **found.passed_over}),
        *([Table(("record", "time", "captured", "answered", "reason"), rows)] if rows else []),
    )
    return int(found.different > 0)


@verb(endpoint, "logs", prints="lines: [Line]", example="mlinfra endpoint logs credit-risk --follow")
@click.argument("reference", metavar="ENDPOINT")
@_deployment
@click.option("-f", "--follow", is_flag=True, show_default=False, help="Go on until interrupted.")
def logs(invocation: Invocation, reference: str, deployment: str | None, *, follow: bool) -> None:
    """Print what an endpoint's servers print."""
    if follow and invocation.as_json:
        raise UsageError("--follow has no end, and a JSON document has one", todo="leave out one of the two")
    with invocation.connect() as environment:
        print_lines(invocation, environment.endpoints.get(reference).logs(deployment=deployment, follow=follow))


@verb(
    endpoint,
    "metrics",
    prints="metrics: {deployment: {since, as_of, requests, errors, rejected, error_rate, p50, p99}}",
    example="mlinfra endpoint metrics credit-risk --since 15m",
)
@click.argument("reference", metavar="ENDPOINT")
@click.option("--since", callback=length_of_time, default="1h", metavar="TIME", help="How far to look back.")
def metrics(invocation: Invocation, reference: str, since: float) -> None:
    """Show requests, errors and latency of each deployment."""
    start = datetime.now(UTC) - timedelta(seconds=since)
    with invocation.connect() as environment:
        found = environment.endpoints.get(reference).metrics(since=start)
    invocation.show(
        {"metrics": {name: as_document(each) for name, each in found.items()}},
        Table(
            ("deployment", "requests", "errors", "rejected", "error rate", "p50", "p99", "as of"),
            [(name, *_figures(each)) for name, each in found.items()],
            empty="nothing serves",
        ),
    )


@verb(
    endpoint,
    "traffic",
    prints="outcome: Outcome",
    example="mlinfra endpoint traffic credit-risk main-1a2b3c4d=80 main-5e6f7a8b=20",
)
@click.argument("reference", metavar="ENDPOINT")
@click.argument("shares", metavar="DEPLOYMENT=PERCENT...", nargs=-1, required=True, callback=pairs)
def traffic(invocation: Invocation, reference: str, shares: dict[str, str]) -> None:
    """Set the shares of an endpoint's deployments; those not named get none."""
    split = {name: _percent(name, share) for name, share in shares.items()}
    with invocation.connect() as environment:
        _show_outcome(invocation, environment.endpoints.get(reference).set_traffic(split))


@click.group(cls=Family)
def rollout() -> None:
    """A rollout that stands: see it, go on with it, send it back."""


endpoint.add_command(rollout)


@verb(rollout, "show", prints="rollout: {…} | null", example="mlinfra endpoint rollout show credit-risk")
@click.argument("reference", metavar="ENDPOINT")
def show_rollout(invocation: Invocation, reference: str) -> None:
    """Show the newest rollout of an endpoint, with every decision and the figures behind it."""
    with invocation.connect() as environment:
        newest = environment.endpoints.get(reference).show().book.rollout
    if newest is None:
        invocation.show({"rollout": None}, Table((), (), empty="it never had one"))
        return
    invocation.show({"rollout": newest.as_document()}, *_rollout_tables(newest))


@verb(rollout, "resume", prints="outcome: Outcome", example="mlinfra endpoint rollout resume credit-risk")
@click.argument("reference", metavar="ENDPOINT")
@_time_limit
def resume(invocation: Invocation, reference: str, time_limit: float | None) -> None:
    """Go on with the rollout that stands, to its end."""
    with invocation.connect() as environment:
        _show_outcome(invocation, environment.endpoints.get(reference).resume(time_limit=time_limit))


@verb(
    rollout,
    "abort",
    prints="outcome: Outcome | asked: bool, rollout: {…}",
    example="mlinfra endpoint rollout abort credit-risk --yes",
)
@click.argument("reference", metavar="ENDPOINT")
@destructive
def abort(invocation: Invocation, reference: str, *, yes: bool, confirm: str | None) -> None:
    """Send the rollout back that stands.

    One that another process watches is asked to go back by itself.
    """
    with invocation.connect() as environment:
        subject = environment.endpoints.get(reference)
        invocation.confirm(f"sending back the rollout of {subject.name}", yes=yes, confirm=confirm)
        outcome = subject.abort()
    if isinstance(outcome, Asked):
        invocation.say(f"asked to go back; {outcome.watched_by}")
        invocation.show({"asked": True, "rollout": outcome.rollout.as_document()})
    else:
        _show_outcome(invocation, outcome)


@verb(endpoint, "rollback", prints="outcome: Outcome", example="mlinfra endpoint rollback credit-risk --yes")
@click.argument("reference", metavar="ENDPOINT")
@click.option(
    "--to", metavar="VERSION", help="A version or deployment that served before.  [default: the last good one]"
)
@destructive
def rollback(invocation: Invocation, reference: str, to: str | None, *, yes: bool, confirm: str | None) -> None:
    """Go back to what served before, at once."""
    with invocation.connect() as environment:
        subject = environment.endpoints.get(reference)
        invocation.confirm(f"rolling back {subject.name}", yes=yes, confirm=confirm)
        _show_outcome(invocation, subject.rollback(to))


@verb(endpoint, "delete", prints="deleted: [str]", example="mlinfra endpoint delete credit-risk --yes")
@click.argument("references", metavar="ENDPOINT...", nargs=-1, required=True)
@destructive
def delete(invocation: Invocation, references: tuple[str, ...], *, yes: bool, confirm: str | None) -> None:
    """Remove endpoints with everything behind them.

    One that is not there, or half gone, is no error.
    """
    with invocation.connect() as environment:
        invocation.confirm(f"deleting {', '.join(references)}", yes=yes, confirm=confirm)
        there = {each: environment.endpoints.delete(each) for each in references}
    for name, was_there in there.items():
        invocation.say(f"{name} is deleted" if was_there else f"{name} was not there")
    invocation.show({"deleted": [name for name, was_there in there.items() if was_there]})


def _question(rows: tuple[str, ...], data: Path | None) -> tuple[bytes, str]:
    """A body and its content type."""
    if data is None:
        return json.dumps({"instances": [_row(each) for each in rows]}).encode(), "application/json"
    content = sys.stdin.buffer.read() if str(data) == "-" else data.read_bytes()
    by_suffix = {".csv": "text/csv", ".jsonl": "application/jsonlines"}
    if data.suffix in by_suffix:
        return content, by_suffix[data.suffix]
    try:
        parsed = json.loads(content)
    except ValueError as exc:
        todo = "name a CSV file .csv and JSON lines .jsonl"
        raise SpecError(f"not a JSON document: {exc}", given=str(data), todo=todo) from exc
    return (json.dumps({"instances": parsed}).encode() if isinstance(parsed, list) else content), "application/json"


def _row(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        allowed = "JSON: an object by column, or a list in schema order"
        raise UsageError(f"a row that is no JSON: {exc}", given=text, allowed=allowed) from exc


def _percent(name: str, share: str) -> int:
    if share.rstrip("% ").isdecimal():
        return int(share.rstrip("% "))
    raise UsageError(f"the share of {name} is no whole percent", given=share, allowed="0 to 100")


def _figures(health: Health) -> tuple[object, ...]:
    told = as_document(health)
    names = ("requests", "errors", "rejected", "error_rate", "p50", "p99")
    return (*(told[name] for name in names), health.as_of)


def _show_outcome(invocation: Invocation, outcome: Outcome) -> None:
    there = outcome.endpoint
    head = {"change": outcome.change.value, "watched by": outcome.watched_by}
    tail = (
        {"endpoint": there.name, "state": there.state.value, "traffic": there.traffic, "url": there.url}
        if there
        else {}
    )
    told = documents.outcome(outcome, invocation.choose().environment.name)
    invocation.show({"outcome": told}, facts({**head, **tail}))


def _tables(known: Shown) -> list[Table]:
    there = known.endpoint
    head = facts(
        {
            "endpoint": known.handle,
            "state": there.state.value,
            "reason": there.reason,
            "url": there.url,
            "created": there.created,
            "expires": there.expires,
            "rollout": known.book.under_way.describe() if known.book.under_way else "",
            "owned by a stack": there.owned_by_stack or "",
            "tags": dict(there.tags),
            "console": known.console_url,
        }
    )
    rows = [
        (
            each.name,
            each.state.value,
            each.traffic,
            f"{each.ready_replicas}/{each.replicas}",
            f"{each.model}:{each.version}",
        )
        for each in there.deployments
    ]
    return [head, Table(("deployment", "state", "traffic %", "ready", "model"), rows, empty="nothing stands behind it")]


def _rollout_tables(newest: Rollout) -> list[Table]:
    rows = [(each.time, f"{each.percent} %", each.verb, each.reason) for each in newest.decisions]
    head = facts({"rollout": newest.describe(), "begun": newest.begun, "by": newest.who, "cause": newest.cause})
    return [head, Table(("time", "share", "decision", "reason"), rows)]
