"""`mlinfra job`: training and processing runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli import documents
from mlinfra.cli.commands import Family, destructive, verb
from mlinfra.cli.output import Table, ago, facts
from mlinfra.cli.parameters import file_argument, pairs, print_lines, set_option
from mlinfra.engine.jobs import raise_for_state

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.api.jobs import Job
    from mlinfra.cli.context import Invocation
    from mlinfra.engine.followups import Followed


@click.group(cls=Family)
def job() -> None:
    """Jobs: training and processing runs.

    A JOB is named by its handle, its id on the platform, or the first six or more digits of its work's id.
    """


@verb(
    job,
    "submit",
    prints="job: Submitted, followed: [Followed]",
    example="mlinfra job submit job.yaml --set params.depth=8 --wait",
)
@file_argument
@click.option("--wait", is_flag=True, show_default=False, help="Wait for its end and do what is due then.")
@click.option("--follow", is_flag=True, show_default=False, help="Wait, and print its log meanwhile.")
@click.option("--new", metavar="NAME", help="Run the same work again, as a repetition of this name.")
@set_option
def submit(
    invocation: Invocation, file: Path, *, wait: bool, follow: bool, new: str | None, settings: tuple[str, ...]
) -> None:
    """Start a job.

    The same work is never started twice: a queued, running or succeeded job of the same code, inputs and parameters is
    returned and said to be. After a failure the next attempt begins.
    """
    with invocation.connect() as environment:
        subject = environment.jobs.submit(file, new=new, set=settings)
        _tell_submission(invocation, subject)
        if wait or follow:
            _wait(invocation, subject, follow=follow)
        followed = [documents.followed(each) for each in subject.followed]
        invocation.show({"job": documents.submitted(subject), "followed": followed}, _overview(subject))
    if wait or follow:
        _judge(subject)


@verb(job, "list", prints="jobs: [Job], total: int", example="mlinfra job list --tag team=risk")
@click.option("--name", default="", help="Only jobs whose name holds this.")
@click.option("--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE", help="Only jobs with this tag.")
@click.option("--limit", type=click.IntRange(1), default=50, help="At most that many, the newest.")
def list_(invocation: Invocation, name: str, tags: dict[str, str], limit: int) -> None:
    """List jobs, the newest first.

    What is due after jobs that have ended is done on the way.
    """
    with invocation.connect() as environment:
        environment.follow_up()
        found = environment.jobs.list(tags=tags, name=name)
    if len(found) > limit:
        invocation.say(f"{limit} of {len(found)} jobs; --limit shows more")
    rows = [
        (each.observed.native_id, each.state, each.observed.attempt, ago(each.observed.created), each.observed.metrics)
        for each in found[:limit]
    ]
    invocation.show(
        {"jobs": [documents.job(each) for each in found[:limit]], "total": len(found)},
        Table(("job", "state", "attempt", "created", "metrics"), rows, empty="no jobs"),
    )


@verb(job, "show", prints="job: Job", example="mlinfra job show 3f9a2c -o json")
@click.argument("reference", metavar="JOB")
def show(invocation: Invocation, reference: str) -> None:
    """Show a job: where it stands, why, what it left, where the vendor shows it."""
    with invocation.connect() as environment:
        subject = environment.jobs.get(reference)
        invocation.show({"job": documents.job(subject)}, _overview(subject))


@verb(job, "logs", prints="lines: [Line]", example="mlinfra job logs 3f9a2c --follow")
@click.argument("reference", metavar="JOB")
@click.option("-f", "--follow", is_flag=True, show_default=False, help="Go on until the job has ended.")
def logs(invocation: Invocation, reference: str, *, follow: bool) -> None:
    """Print what a job printed."""
    with invocation.connect() as environment:
        print_lines(invocation, environment.jobs.get(reference).logs(follow=follow))


@verb(job, "wait", prints="jobs: [Job], followed: [Followed]", example="mlinfra job wait 3f9a2c 77d01e")
@click.argument("references", metavar="JOB...", nargs=-1, required=True)
def wait(invocation: Invocation, references: tuple[str, ...]) -> None:
    """Wait until jobs have ended, and do what is due then.

    The exit code is 1 where one of them did not succeed.
    """
    with invocation.connect() as environment:
        waited = environment.jobs.wait([environment.jobs.get(each) for each in references], check=False)
    _tell_followed(invocation, waited.followed)
    invocation.show(
        {
            "jobs": [documents.job(each) for each in waited.jobs],
            "followed": [documents.followed(each) for each in waited.followed],
        },
        *map(_overview, waited.jobs),
    )
    for subject in waited.jobs:
        _judge(subject)


@verb(job, "stop", prints="job: Job", example="mlinfra job stop 3f9a2c --yes")
@click.argument("reference", metavar="JOB")
@click.option("--no-wait", is_flag=True, show_default=False, help="Ask it to stop and return at once.")
@destructive
def stop(invocation: Invocation, reference: str, *, no_wait: bool, yes: bool, confirm: str | None) -> None:
    """Stop a job.

    Its script is asked to end and has the platform's grace to do so. A job that has ended is left alone.
    """
    with invocation.connect() as environment:
        subject = environment.jobs.get(reference)
        invocation.confirm(f"stopping {subject.name}, {subject.state},", yes=yes, confirm=confirm)
        subject.stop(wait=not no_wait)
        invocation.show({"job": documents.job(subject)}, _overview(subject))


@verb(job, "download", prints="files: [str]", example="mlinfra job download 3f9a2c --to results --output-name report")
@click.argument("reference", metavar="JOB")
@click.option("--to", "target", type=click.Path(path_type=Path), default=Path(), help="Folder to fetch into.")
@click.option("--output-name", metavar="NAME", help="Only this output.  [default: all]")
def download(invocation: Invocation, reference: str, target: Path, output_name: str | None) -> None:
    """Fetch what a job left, each output into a folder of its name.

    Digests are verified; a folder appears whole or not at all.
    """
    with invocation.connect() as environment:
        paths = environment.jobs.get(reference).download(target, output=output_name)
    invocation.show({"files": [str(path) for path in paths]}, Table(("fetched",), [(path,) for path in paths]))


@verb(job, "metrics", prints="metrics: [Point]", example="mlinfra job metrics 3f9a2c -o json")
@click.argument("reference", metavar="JOB")
def metrics(invocation: Invocation, reference: str) -> None:
    """Print every value that a job logged, in order."""
    with invocation.connect() as environment:
        points = environment.jobs.get(reference).metrics()
    invocation.show(
        {"metrics": [documents.point(each) for each in points]},
        Table(
            ("metric", "value", "step", "time"),
            [(each.name, each.value, each.step, each.time) for each in points],
            empty="it logged no metric",
        ),
    )


@verb(job, "delete", prints="deleted: [str]", example="mlinfra job delete 3f9a2c --yes")
@click.argument("references", metavar="JOB...", nargs=-1, required=True)
@destructive
def delete(invocation: Invocation, references: tuple[str, ...], *, yes: bool, confirm: str | None) -> None:
    """Remove ended jobs and what they left in the store.

    Registered models keep copies of their own.
    """
    with invocation.connect() as environment:
        subjects = [environment.jobs.get(each) for each in references]
        names = ", ".join(subject.name for subject in subjects)
        invocation.confirm(f"deleting {names}", yes=yes, confirm=confirm)
        for subject in subjects:
            subject.delete()
            invocation.say(f"{subject.name} is deleted")
    invocation.show({"deleted": [subject.handle for subject in subjects]})


def _tell_submission(invocation: Invocation, subject: Job) -> None:
    """Say what the submission came to, and how to go on with it."""
    if subject.reused:
        since = ago(subject.observed.ended or subject.observed.created)
        invocation.say(f"reused {subject.name}: {subject.state}, {since}; --new NAME runs it again")
    else:
        invocation.say(f"submitted {subject.name}, attempt {subject.observed.attempt}")
    invocation.resume = f"mlinfra job wait {subject.handle}"
    if subject.due:
        invocation.say(f"due at its end: {', '.join(subject.due)}; done by `mlinfra job wait`, `list` or `recover`")


def _wait(invocation: Invocation, subject: Job, *, follow: bool) -> None:
    if follow:
        print_lines(invocation, subject.logs(follow=True))
    subject.wait(check=False)
    _tell_followed(invocation, subject.followed)


def _tell_followed(invocation: Invocation, done: Iterable[Followed]) -> None:
    for each in done:
        if each.version is None:  # the engine has told of those registered
            invocation.say(each.outcome)


def _judge(subject: Job) -> None:
    """Nothing for a job that succeeded.

    Raises:
        JobFailed: any other end.
    """
    raise_for_state(subject.observed)


def _overview(subject: Job) -> Table:
    observed = subject.observed
    return facts(
        {
            "job": subject.handle,
            "id": observed.id,
            "name": observed.name,
            "state": observed.state.value,
            "attempt": observed.attempt,
            "reason": observed.reason,
            "exit code": observed.exit_code,
            "created": observed.created,
            "started": observed.started,
            "ended": observed.ended,
            "machine": observed.machine,
            "metrics": dict(observed.metrics),
            "outputs": {name: each.uri for name, each in observed.outputs.items()},
            "tags": dict(observed.tags),
            "console": subject.console_url,
        }
    )
