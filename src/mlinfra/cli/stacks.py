"""`mlinfra env up|preview|destroy`: stand environments up and take them away, through the Pulumi engine."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli.commands import Verb, destructive
from mlinfra.cli.output import Table, facts
from mlinfra.cli.progress import Progress
from mlinfra.engine import environments, sync
from mlinfra.engine.environments import Chosen
from mlinfra.environment import Environment
from mlinfra.errors import CapabilityError, EnvironmentNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlinfra.cli.context import Invocation
    from mlinfra.emulator.manage import Running
    from mlinfra.infra.automation.places import Place
    from mlinfra.infra.automation.run import Engine, Outcome
    from mlinfra.infra.automation.states import State

_PRINTS = "stack: str, state: str, changes: {step: int}, resources: [{step, type, name, urn}]"

program_option = click.option(
    "--program",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds Pulumi.yaml.  [default: the nearest one upwards]",
)
_refresh = click.option(
    "--refresh", is_flag=True, show_default=False, help="Look first at what is really there, and mend what drifted."
)
_found = click.option(
    "--found",
    "answers",
    multiple=True,
    metavar="URN=ID",
    help="Under which id a create that was cut short has made its resource; no ID where it has not.",
)


@dataclass(frozen=True)
class Opened:
    """A stack that is ready to be run."""

    place: Place
    state: State
    engine: Engine
    environment: Environment  # as far as the configuration tells it


def stack_verb(name: str, *, example: str, prints: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a command that is imported when it runs."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        return click.command(name, cls=Verb, example=example, prints=prints)(click.pass_obj(function))

    return decorate


@stack_verb("preview", prints=_PRINTS, example="mlinfra env preview aws-dev")
@click.argument("name")
@program_option
@_refresh
@click.option("--expect-no-changes", is_flag=True, show_default=False, help="Exit with 5 where there would be any.")
def preview(invocation: Invocation, name: str, *, program: Path | None, refresh: bool, expect_no_changes: bool) -> None:
    """Show what `env up` would change.

    Changes nothing and takes no lock.
    """
    from mlinfra.infra.automation import failures  # noqa: PLC0415  help needs none of it

    with _opened(invocation, name, program, create=True) as opened:
        outcome = opened.engine.preview(refresh=refresh)
    _show(invocation, opened, outcome)
    if expect_no_changes and outcome.changed:
        raise failures.unexpected(name, _counts(outcome))


@stack_verb("up", prints=f"{_PRINTS}, synced: str, update: int, settled: [str]", example="mlinfra env up local-dev")
@click.argument("name")
@program_option
@_refresh
@_found
@click.option("-y", "--yes", is_flag=True, show_default=False, help="Let it delete and replace what it has to.")
@click.option("--confirm", metavar="NAME", help="The environment's name once more, where it is protected.")
def up(
    invocation: Invocation,
    name: str,
    *,
    program: Path | None,
    refresh: bool,
    answers: tuple[str, ...],
    yes: bool,
    confirm: str | None,
) -> None:
    """Stand an environment up, or bring it to what its program says.

    Plain `pulumi up` does the same work. Where something would be deleted or replaced it asks for --yes. What a killed
    run left open is settled first. At the end the environment's document is kept with the project, as by `env sync`.
    """
    with _opened(invocation, name, program, create=True) as opened:
        settled = opened.engine.settle(_answers(answers))
        if not opened.engine.is_new and (opened.environment.protected or not yes):
            _confirm_losses(opened, opened.engine.preview(refresh=refresh), yes=yes, confirm=confirm)
        outcome = opened.engine.up(refresh=refresh)
    there = _kept(invocation, opened, outcome)
    invocation.say(f"{there.name} is kept with the project: add -e {there.name} to any command")
    _show(invocation, opened, outcome, synced=there.name, update=outcome.update, settled=settled)


@stack_verb(
    "destroy",
    prints=f"{_PRINTS}, removed: {{endpoints, jobs, models}}, settled: [str]",
    example="mlinfra env destroy local-dev --yes",
)
@click.argument("name")
@program_option
@_found
@destructive
def destroy(
    invocation: Invocation,
    name: str,
    *,
    program: Path | None,
    answers: tuple[str, ...],
    yes: bool,
    confirm: str | None,
) -> None:
    """Take an environment away, with all that the kit made in it.

    First endpoints, jobs and models that bear the kit's tags, then what the stack made. What was adopted stays.
    """
    with _opened(invocation, name, program, create=False) as opened:
        environments.confirm(opened.environment, yes=yes, confirmation=confirm, verb=f"destroying {name}")
        settled = opened.engine.settle(_answers(answers))
        removed = _empty(invocation, opened)
        outcome = opened.engine.destroy()
    with suppress(EnvironmentNotFound):
        environments.forget(invocation.folders, name)
    sync.forget(invocation.folders, name)
    invocation.say(f"{name} is gone")
    _show(invocation, opened, outcome, removed=removed, settled=settled)


@contextmanager
def _opened(invocation: Invocation, name: str, program: Path | None, *, create: bool) -> Iterator[Opened]:
    """A stack of this project, selected in its state, with the surroundings that it is to be run in."""
    found = installed_engine(name)
    from mlinfra.infra.automation import places, states, surroundings  # noqa: PLC0415  help needs none of it
    from mlinfra.infra.automation.run import Engine  # noqa: PLC0415  see above

    place = places.find(program or Path.cwd(), name)
    about = Environment(
        name=name, platform=place.platform, stage=place.stage, protected=place.protected, emulated=place.emulated
    )
    invocation.chosen = Chosen(about, "a stack")
    with ExitStack() as stack:
        if place.emulated:
            stack.enter_context(surroundings.within(apart(invocation, place, stack)))
        state = states.choose(place, invocation.folders.ensure())
        invocation.say(f"stack: {name} ({place.file}); state: {state.backend} ({state.because})")
        progress = stack.enter_context(Progress(invocation.say, quiet=invocation.quiet))
        engine = Engine(place, state, found, progress.say)
        stack.enter_context(states.unsalted(place, state))
        engine.open(create=create)
        yield Opened(place, state, engine, about)


def apart(invocation: Invocation, place: Place, stack: ExitStack) -> Mapping[str, str]:
    """The variables of an emulated stack: no vendor's credentials, and stand-in providers attached.

    Where the platform's emulator runs here, what the stack makes exists in it; else in the providers' own books alone.
    """
    from mlinfra.emulator.isolation import isolated  # noqa: PLC0415  real stacks have no use for it
    from mlinfra.emulator.providers import Providers  # noqa: PLC0415  see above

    records = invocation.folders.ensure().for_emulated(place.stack).records
    scrubbed = isolated(os.environ, records / "home")
    running = emulator_of(invocation, place.platform)
    if running is not None:
        invocation.say(f"what this stack makes exists in the emulator at {running.url}")
        return {**scrubbed, **running.ask("providers")["variables"]}
    invocation.say(f"no emulator of {place.platform} runs here: stand-in providers keep books of their own")
    providers = stack.enter_context(Providers(records / "providers"))
    return {**scrubbed, **providers.variables()}


def emulator_of(invocation: Invocation, platform: str) -> Running | None:
    """The platform's emulator that runs in this project, where it takes what stacks make."""
    from mlinfra.cli.emulator import default_folder  # noqa: PLC0415  real stacks have no use for it
    from mlinfra.emulator import manage  # noqa: PLC0415  see above
    from mlinfra.emulator.platforms import PROVISIONED  # noqa: PLC0415  see above

    return manage.find(default_folder(invocation, platform)) if platform in PROVISIONED else None


def installed_engine(name: str) -> Path:
    """The program `pulumi`.

    Raises:
        CapabilityError: it, or the package that stacks are written with, is not installed.
    """
    if find_spec("pulumi") is None:
        raise CapabilityError(
            "the package `pulumi` is not installed, which stacks are written with",
            given=name,
            todo="pip install 'mlinfra-kit[infra-local]', or infra-aws, infra-azure, infra-gcp",
        )
    found = sync.program(Path.cwd())
    if found is None:
        raise CapabilityError(
            "the program `pulumi` is not installed, which stands environments up",
            given=name,
            todo="install Pulumi, or run `make pulumi` in a clone of the kit",
        )
    return found


def _kept(invocation: Invocation, opened: Opened, outcome: Outcome) -> Environment:
    """The environment that the stack exports, kept with the project."""
    origin = sync.Kept(opened.place.stack, opened.place.folder, outcome.update, opened.state.variables)
    there, _ = sync.keep(invocation.folders, _addressed(invocation, opened, outcome.environment), origin)
    return there


def _addressed(invocation: Invocation, opened: Opened, document: dict[str, Any]) -> dict[str, Any]:
    """An emulated environment with the emulator's addresses and credentials, which no stack can know."""
    running = emulator_of(invocation, opened.place.platform) if opened.place.emulated else None
    if running is None:
        return document
    from mlinfra.cli.emulator import marked  # noqa: PLC0415  real stacks have no use for it

    seeded: dict[str, Any] = running.ask("seed", {"environment": document})["environment"]
    return marked(running, seeded)


def _confirm_losses(opened: Opened, plan: Outcome, *, yes: bool, confirm: str | None) -> None:
    """Stop before something is deleted or replaced that nobody meant to lose."""
    if plan.destructive:
        lost = ", ".join(plan.destructive)
        environments.confirm(opened.environment, yes=yes, confirmation=confirm, verb=f"deleting or replacing {lost}")


def _empty(invocation: Invocation, opened: Opened) -> dict[str, list[str]]:
    """Take out what the kit made, where the stack got so far that something could be made in it."""
    from mlinfra import api  # noqa: PLC0415  help needs none of it
    from mlinfra.engine.sweeping import KINDS  # noqa: PLC0415  see above

    standing = opened.engine.standing()
    if standing.environment is None:
        return {}
    if opened.place.emulated and emulator_of(invocation, opened.place.platform) is None:
        invocation.say("what the kit made in this environment went with its emulator")
        return {}
    there = _kept(invocation, opened, standing)
    with (
        Progress(invocation.say, quiet=invocation.quiet) as progress,
        api.connect(there, invocation.folders, progress.say) as environment,
    ):
        swept = environment.sweep(everything=True)
    for _, problem in swept.failed:
        raise problem
    return {f"{kind}s": [each.name for each in swept.deleted if each.kind == kind] for kind in KINDS}


def _answers(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [answer.rpartition("=") for answer in given]
    if wrong := [answer for answer, (urn, equals, _) in zip(given, pairs, strict=True) if not (urn and equals)]:
        raise UsageError(
            "--found takes a URN and an id", given=wrong[0], allowed="URN=ID, or URN= where nothing is there"
        )
    return {urn: id_ for urn, _, id_ in pairs}


def _counts(outcome: Outcome) -> str:
    return ", ".join(f"{count} {step}" for step, count in sorted(outcome.changes.items())) or "nothing"


def _show(invocation: Invocation, opened: Opened, outcome: Outcome, **more: Any) -> None:
    document = {"stack": opened.place.stack, "state": opened.state.backend, **outcome.as_document(), **more}
    changed = [each for each in outcome.resources if each["step"] in outcome.changed]
    rows = [(each["step"], each["name"], each["type"]) for each in changed]
    told = {"stack": opened.place.stack, "state": opened.state.backend, "changes": _counts(outcome)}
    invocation.show(document, facts(told), Table(("step", "resource", "type"), rows, empty="nothing changed"))
