"""`mlinfra emulator`: clouds on this machine, that really train and really answer."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli.commands import Family, verb
from mlinfra.cli.output import facts
from mlinfra.engine import environments
from mlinfra.engine.emulated import EMULATOR
from mlinfra.engine.environments import Chosen
from mlinfra.environment import Environment, parse
from mlinfra.errors import Conflict, EnvironmentNotFound, MlinfraError, NotFound, SpecError, UsageError

if TYPE_CHECKING:
    from typing import Any

    from mlinfra.cli.context import Invocation
    from mlinfra.emulator.manage import Running

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The emulator's folder.  [default: .mlinfra/emulators/PLATFORM of the project]",
)
_platform = click.argument("platform", required=False)


def _finite(_context: click.Context, _option: click.Parameter, given: float) -> float:
    if not math.isfinite(given):
        raise click.BadParameter(f"{given} is not a finite number")
    return given


@click.group(cls=Family)
def emulator() -> None:
    """Clouds on this machine: their protocols, without an account.

    Jobs are really run and endpoints really answer. Nothing leaves this machine, and no credentials are looked for.
    """


@verb(
    emulator,
    "start",
    prints="platform: str, url: str, pid: int, folder: str, variables: {str: str}",
    example="mlinfra emulator start aws",
)
@click.argument("platform")
@_folder
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; 0 for a free one.")
@click.option(
    "--delays-scale",
    type=click.FloatRange(0),
    default=1.0,
    callback=_finite,
    help="Stretch how long each state lasts; 0 for no waiting.",
)
@click.option(
    "--list-lag",
    type=click.FloatRange(0),
    default=0.0,
    callback=_finite,
    help="Seconds until lists show what was made or removed.",
)
@click.option(
    "--faults",
    "script",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML or JSON file with a list of faults to inject.",
)
def start(
    invocation: Invocation,
    platform: str,
    *,
    folder: Path | None,
    port: int,
    delays_scale: float,
    list_lag: float,
    script: Path | None,
) -> None:
    """Start the emulator of a platform; it goes on until it is stopped.

    The environment PLATFORM-emulated is kept with the project and usable at once.
    """
    from mlinfra.emulator import manage  # noqa: PLC0415  help needs none of it
    from mlinfra.emulator.faults import read_file  # noqa: PLC0415  see above
    from mlinfra.emulator.platforms import check  # noqa: PLC0415  see above
    from mlinfra.emulator.settings import Settings  # noqa: PLC0415  see above

    check(platform)
    faults = read_file(script) if script else ()
    settings = Settings(port=port, delays_scale=delays_scale, list_lag=list_lag, faults=faults)
    place = (folder or default_folder(invocation, platform)).absolute()
    _choose(invocation, platform)
    _refuse_to_hide(invocation, f"{platform}-emulated")
    running = manage.start(platform, place, settings)
    try:
        variables = running.ask("variables")["variables"]
        _forget(invocation, place)
        there = _keep(invocation, running, running.ask("environment")["environment"])
    except BaseException:
        manage.stop(running)
        raise
    named = f" --folder {shlex.quote(str(folder))}" if folder else ""
    invocation.say(f"the emulator of {platform} answers at {running.url}")
    invocation.say(f"environment {there.name} is kept with the project: add -e {there.name} to any command")
    invocation.say(f'other clients: eval "$(mlinfra emulator env {platform}{named})"')
    invocation.say(f"to stop it: mlinfra emulator stop {platform}{named}")
    told = {**_facts(running), "variables": variables}
    invocation.show(told, facts({**_facts(running), "environment": there.name, "emulated": True}))


@verb(emulator, "stop", prints="platform: str, folder: str", example="mlinfra emulator stop aws")
@_platform
@_folder
def stop(invocation: Invocation, platform: str | None, folder: Path | None) -> None:
    """End an emulator with every job and server that it started.

    Its resources are gone; the environment that stands for it is forgotten. Without PLATFORM the one that runs here.
    """
    from mlinfra.emulator import manage  # noqa: PLC0415  help needs none of it

    running = _running(invocation, platform, folder)
    _choose(invocation, running.platform)
    manage.stop(running)
    _forget(invocation, running.folder)
    invocation.say(f"the emulator of {running.platform} has stopped; nothing of it is left")
    told = {"platform": running.platform, "folder": str(running.folder)}
    invocation.show(told, facts({"stopped": running.platform, "emulated": True}))


@verb(
    emulator,
    "env",
    prints="platform: str, url: str, variables: {str: str}",
    example='eval "$(mlinfra emulator env aws)"',
)
@_platform
@_folder
def env(invocation: Invocation, platform: str | None, folder: Path | None) -> None:
    """Print the variables that point any client of the vendor's at the emulator.

    As lines for a shell: evaluate them, and the vendor's own tools and libraries work here.
    """
    running = _running(invocation, platform, folder)
    _choose(invocation, running.platform)
    variables: dict[str, str] = running.ask("variables")["variables"]
    invocation.show({"platform": running.platform, "url": running.url, "variables": variables})
    if not invocation.as_json:
        click.echo(f"# emulated: {running.platform} at {running.url}")
        for name, value in variables.items():
            click.echo(f"export {name}={shlex.quote(value)}")


@verb(
    emulator,
    "seed",
    prints="platform: str, seeded: str, document: {…}",
    example="mlinfra emulator seed environment.json",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_folder
def seed(invocation: Invocation, file: Path, folder: Path | None) -> None:
    """Create in the emulator what a stack would have created.

    FILE is the document of an environment, in the shape that a stack exports. The environment is kept with the
    project under its name, with the emulator's addresses.
    """
    there = _read(file)
    running = _running(invocation, there.platform, folder)
    _refuse_to_hide(invocation, there.name)
    answer = running.ask("seed", {"environment": {"name": there.name, **there.as_document()}})
    made = _keep(invocation, running, answer["environment"])
    invocation.say(f"what environment {made.name} names is there: add -e {made.name} to any command")
    document = {"name": made.name, **made.as_document()}
    invocation.show({"platform": running.platform, "seeded": made.name, "document": document}, facts(document))


def default_folder(invocation: Invocation, platform: str) -> Path:
    """Where this project's emulator of a platform is, unless it was started elsewhere."""
    return invocation.folders.ensure().project / "emulators" / platform


def _facts(running: Running) -> dict[str, Any]:
    return {
        "platform": running.platform,
        "url": running.url,
        "pid": running.pid,
        "folder": str(running.folder),
    }


def _running(invocation: Invocation, platform: str | None, folder: Path | None) -> Running:
    """The emulator that is meant.

    Raises:
        NotFound: none runs here.
        UsageError: several run, and none was named.
    """
    from mlinfra.emulator import manage  # noqa: PLC0415  help needs none of it
    from mlinfra.emulator.platforms import PLATFORMS, check  # noqa: PLC0415  see above

    if platform:
        check(platform)
    places = {folder.absolute()} if folder else _places(invocation, [platform] if platform else list(PLATFORMS))
    found = [running for running in map(manage.find, sorted(places)) if running]
    meant = [running for running in found if platform in {None, running.platform}]
    if not meant:
        raise NotFound(
            "no emulator runs here",
            given=str(folder or platform or invocation.folders.root),
            todo=f"`mlinfra emulator start {platform or next(iter(PLATFORMS))}` starts one",
        )
    if len(meant) > 1:
        told = ", ".join(f"{running.platform} in {running.folder}" for running in meant)
        raise UsageError("several emulators run here", given=told, todo="name the platform, or --folder")
    return meant[0]


def _places(invocation: Invocation, platforms: list[str]) -> set[Path]:
    """Where emulators of these platforms would be: in their usual folders, and where kept environments say."""
    usual = {invocation.folders.project / "emulators" / platform for platform in platforms}
    return usual | {Path(place) for place in _emulated(invocation).values() if place}


def _emulated(invocation: Invocation) -> dict[str, str]:
    """The emulated environments that the project knows, each with its emulator's folder, empty where none is told."""
    found = {}
    for name in environments.names(invocation.folders):
        with suppress(MlinfraError):
            there = environments.get(invocation.folders, name)
            if there.emulated:
                found[name] = str(there.native.get(EMULATOR, {}).get("folder", ""))
    return found


def _choose(invocation: Invocation, platform: str) -> None:
    """Have every line and document say that this is emulated."""
    there = Environment(name=f"{platform}-emulated", platform=platform, emulated=True)
    invocation.chosen = Chosen(there, "an emulator")


def marked(running: Running, document: dict[str, Any]) -> dict[str, Any]:
    """An environment's document with the emulator that answers for it."""
    native = document.get("native", {})
    place = {**native.get(EMULATOR, {}), "folder": str(running.folder), "url": running.url}
    return {**document, "emulated": True, "native": {**native, EMULATOR: place}}


def _keep(invocation: Invocation, running: Running, document: dict[str, Any]) -> Environment:
    """Keep an emulated environment with the project, so that it can be named like any other."""
    there = parse(marked(running, document))
    invocation.folders.ensure().environments.mkdir(exist_ok=True)
    environments.keep(invocation.folders, there, replace=True)
    invocation.chosen = Chosen(there, "an emulator")
    return there


def _forget(invocation: Invocation, folder: Path) -> None:
    """Forget the environments that stood for the emulator of a folder, and what was remembered of them."""
    for name, place in _emulated(invocation).items():
        if place == str(folder):
            environments.forget(invocation.folders, name)
            shutil.rmtree(invocation.folders.for_emulated(name).records, ignore_errors=True)


def _refuse_to_hide(invocation: Invocation, name: str) -> None:
    """Stop before an emulated environment takes the name of a real one.

    Raises:
        Conflict: an environment of that name is kept that is not emulated.
    """
    with suppress(EnvironmentNotFound):
        if not environments.get(invocation.folders, name).emulated:
            raise Conflict(
                f"a real environment {name} is kept with the project",
                todo="give the emulated one another name, or remove that one with `mlinfra env remove`",
            )


def _read(file: Path) -> Environment:
    try:
        document = json.loads(file.read_text())
    except ValueError as exc:
        raise SpecError(f"not a JSON document: {exc}", given=str(file), todo="correct the file") from exc
    if not isinstance(document, dict):
        raise SpecError("an environment is a JSON object", given=str(file), todo="see `mlinfra env show -o json`")
    return parse(document, file=str(file))
