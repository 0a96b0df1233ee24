"""`mlinfra env init|bootstrap`: the files of a stack in a user's own project, and the place where its state lies."""

from __future__ import annotations

import json
from functools import partial
from importlib import import_module, resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli.output import facts
from mlinfra.cli.progress import Progress
from mlinfra.cli.stacks import installed_engine, program_option, stack_verb
from mlinfra.errors import Conflict, Denied, NotFound, SpecError, UsageError
from mlinfra.package.atomic import new_file
from mlinfra.spec.load.compose import compose

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation
    from mlinfra.infra.automation.places import Place

PLATFORMS = ("aws", "azure", "gcp", "local")
_PROJECT = """\
name: {name}
description: Environments for training, registering and serving models
runtime:
  name: python
  options:
    toolchain: pip
"""
_VENV = "    virtualenv: ../.venv\n"


@stack_verb(
    "init",
    prints="stack: str, folder: str, files: [str]",
    example="mlinfra env init risk-dev --platform aws --set region=eu-west-1 --set account=123456789012",
)
@click.argument("name")
@click.option("--platform", type=click.Choice(PLATFORMS), default="local", help="Where the environment will be.")
@click.option("--stage", type=click.Choice(("dev", "staging", "prod")), default="dev", help="Its security profile.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of its configuration; lists and mappings are YAML.",
)
def init(invocation: Invocation, name: str, platform: str, stage: str, settings: tuple[str, ...]) -> None:
    """Write a stack's program and configuration into this project.

    The program is the one of the kit's own stacks, in a folder `infra`. What is there already stays; where it differs,
    and where the configuration would not stand up, nothing is written.
    """
    folder = invocation.folders.root / "infra"
    values = {"platform": platform, "stage": stage, **_pairs(settings)}
    _check(invocation, name, platform, values)
    contents = _contents(name, platform, values, folder)
    taken = [path for path, text in contents.items() if path.is_file() and path.read_text() != text]
    if foreign := [str(path) for path in taken if path.name != "Pulumi.yaml"]:
        raise Conflict(
            "files exist already and differ; nothing was written",
            given=", ".join(foreign),
            todo="edit them, or remove them first",
        )
    written = [path for path in contents if not path.is_file()]
    for path in written:
        with new_file(path) as file:
            file.write(contents[path].encode())
    invocation.say(f"written to {folder}; next: mlinfra env preview {name}")
    invocation.show({"stack": name, "folder": str(folder), "files": [path.name for path in written]})


@stack_verb(
    "bootstrap", prints="stack: str, backend: str, secrets: str, file: str", example="mlinfra env bootstrap aws-prod"
)
@click.argument("name")
@program_option
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the state in this folder instead of a bucket; not in prod.",
)
def bootstrap(invocation: Invocation, name: str, *, program: Path | None, folder: Path | None) -> None:
    """Make the place where an environment's state lies.

    On a cloud a bucket with versions and a key, by a small stack whose own state moves into that bucket at the end; on
    this machine a folder. Where it is, is written to mlinfra.toml, for everybody who works on the project.
    """
    cli = installed_engine(name)
    from mlinfra.infra.automation import places, states  # noqa: PLC0415  help needs none of it

    place = places.find(program or Path.cwd(), name)
    if place.emulated:
        raise UsageError(f"{name} is emulated, and such an environment has a state of its own", todo="mlinfra env up")
    if folder is not None or place.platform == "local":
        backend, secrets = _in_folder(invocation, place, folder), "passphrase"
    else:
        backend, secrets = _on_cloud(invocation, place, cli)
    file = states.write(invocation.folders, name, backend, secrets)
    invocation.say(f"the state of {name} lies in {backend}; {file} says so: keep it under version control")
    told = {"stack": name, "backend": backend, "secrets": secrets, "file": str(file)}
    invocation.show(told, facts(told))


def _in_folder(invocation: Invocation, place: Place, folder: Path | None) -> str:
    """The address of a folder, made for its owner alone; relative where it lies in the project."""
    if place.stage == "prod" and place.platform != "local":
        raise Denied(
            f"{place.stack} is prod, and in a folder its secrets would be kept behind a passphrase",
            given=str(folder),
            todo=f"mlinfra env bootstrap {place.stack}",
        )
    root = invocation.folders.ensure().root.resolve()
    there = (folder or invocation.folders.project / "pulumi").absolute()
    there.mkdir(parents=True, exist_ok=True, mode=0o700)
    return f"file://{there.relative_to(root) if there.is_relative_to(root) else there}"


def _on_cloud(invocation: Invocation, place: Place, cli: Path) -> tuple[str, str]:
    from mlinfra.infra.automation import bootstrap as automation  # noqa: PLC0415  help needs none of it

    wanted = automation.wanted(place)
    declare = import_module(f"mlinfra.infra.{place.platform}.bootstrap").declare
    with Progress(invocation.say, quiet=invocation.quiet) as progress:
        made = automation.bootstrap(
            place.stack,
            partial(declare, wanted),
            invocation.folders.ensure().project / "bootstrap" / place.stack,
            cli,
            progress.say,
        )
    return made.backend, made.secrets


def _check(invocation: Invocation, name: str, platform: str, values: dict[str, Any]) -> None:
    """Hold the values against the platform's model.

    Raises:
        SpecError: every problem, those of keys that are missing among them.
    """
    if find_spec("pulumi") is None:
        invocation.say("the configuration is not checked: `pulumi` is not installed here")
        return
    from mlinfra.infra.configuration import of_platform, read  # noqa: PLC0415  help needs none of it

    try:
        read(of_platform(platform), values, stack=name)
    except SpecError as exc:
        raise SpecError(
            f"no stack {name} could have this configuration; nothing was written, `--set KEY=VALUE` gives a key",
            problems=exc.problems,
        ) from exc


def _contents(name: str, platform: str, values: dict[str, Any], folder: Path) -> dict[Path, str]:
    """Every file of the stack, with its text."""
    source = _programs()
    project = folder / "Pulumi.yaml"
    virtual = _VENV if (folder.parent / ".venv").is_dir() else ""
    lines = [f"  mlinfra:{key}: {json.dumps(value)}" for key, value in values.items()]
    return {
        project: _PROJECT.format(name=folder.parent.name) + virtual,
        folder / "__main__.py": (source / "__main__.py").read_text(),
        folder / f"{platform}.py": (source / f"{platform}.py").read_text(),
        folder / f"Pulumi.{name}.yaml": "\n".join(["config:", *lines]) + "\n",
    }


def _programs() -> Path:
    """The kit's own programs as the wheel carries them, or as they lie in a clone.

    Raises:
        NotFound: this installation carries neither.
    """
    package = Path(str(resources.files("mlinfra")))
    places = (package / "stacks", package.parents[1] / "stacks")
    found = next((place for place in places if (place / "__main__.py").is_file()), None)
    if found is None:
        raise NotFound("this installation does not carry the programs", given=str(places[0]), todo="reinstall it")
    return found


def _pairs(settings: tuple[str, ...]) -> dict[str, Any]:
    pairs = [setting.partition("=") for setting in settings]
    if wrong := [setting for setting, (key, equals, _) in zip(settings, pairs, strict=True) if not (key and equals)]:
        raise UsageError("--set takes a key and a value", given=wrong[0], allowed="KEY=VALUE")
    return {key: _value(value) for key, _, value in pairs}


def _value(text: str) -> Any:
    """A list or a mapping is read as YAML, anything else is the text that stands there.

    Raises:
        SpecError: it begins like a list or a mapping and is none.
    """
    if text[:1] not in {"[", "{"}:
        return text
    documents, problems = compose(text, "--set")
    if problems:
        raise SpecError("--set takes a list or a mapping as YAML", problems=problems)
    return documents[0].value
