"""`mlinfra image`: container images put together without Docker, straight in a registry."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlinfra.cli.commands import Family, verb
from mlinfra.cli.output import facts
from mlinfra.errors import Denied, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlinfra.cli.context import Invocation
    from mlinfra.contract.adapter import Client
    from mlinfra.environment import Environment
    from mlinfra.images.build import Built, Recipe
    from mlinfra.images.login import Credentials, Source

Function = TypeVar("Function", bound="Callable[..., Any]")
_PRINTS = "digest: str, base: str, python: str, layers: [{about, digest, size}], packages: [str]"
_TAG_LENGTH = 12  # hex digits of the digest
_OPTIONS = (
    click.option("--kind", type=click.Choice(["serving", "runner"]), default="serving", help="What it is for."),
    click.option(
        "--base", metavar="IMAGE", help="Image to build upon.  [default: the environment's image `base`]", default=""
    ),
    click.option(
        "--model",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Model package whose requirements go in; a sealed model needs none.",
    ),
    click.option(
        "--requirements",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="More packages, one a line.",
    ),
    click.option("--python", default="", metavar="X.Y", help="The base's Python, where it does not say so itself."),
    click.option(
        "--platform", type=click.Choice(["linux/amd64", "linux/arm64"]), default="linux/amd64", help="What it runs on."
    ),
    click.option(
        "--user", default="", metavar="NAME", help="User to log in with.  [default: the platform's own, or as Docker]"
    ),
    click.option("--password-stdin", is_flag=True, show_default=False, help="Read the user's password from stdin."),
)


@click.group(cls=Family)
def image() -> None:
    """Container images: put together from a base and the kit, without Docker.

    The environment's own registries are logged in to as whoever works with it; all others as `docker login` and
    Docker's credential helpers do. SageMaker takes linux/amd64 alone.
    """


def _described(function: Function) -> Function:
    """The options that say what goes into an image."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@verb(
    image,
    "build",
    prints=_PRINTS,
    example="mlinfra image build --base python:3.11-slim --model model/",
)
@_described
def build(invocation: Invocation, **options: Any) -> None:
    """Put an image together on this machine and tell its digest; nothing is pushed.

    The same base and packages give the same digest, wherever and whenever it is done.
    """
    with _logins(invocation, options) as source:
        made = _build(invocation, options, source)
    invocation.show(_document(made), facts(_facts(made)))


@verb(
    image,
    "push",
    prints=f"image: str, {_PRINTS}, sent: int",
    example="mlinfra image push --base python:3.11-slim --to localhost:5000/credit",
)
@click.option(
    "--to",
    "target",
    default="",
    metavar="IMAGE",
    help="Where to push; without a tag, the digest makes one.  [default: the environment's registry `images`]",
)
@_described
def push(invocation: Invocation, target: str, **options: Any) -> None:
    """Put an image into a registry, and its digest into the environment.

    Only what the registry lacks is sent: the same command again sends nothing.
    """
    from mlinfra.images import build as images  # noqa: PLC0415  help needs none of it
    from mlinfra.images.transport import Transport  # noqa: PLC0415  help needs none of it

    there = invocation.choose().environment
    wanted = _target(target, there, options["kind"])
    with _logins(invocation, options) as source:
        made = _build(invocation, options, source)
        wanted = replace(wanted, tag=wanted.tag or f"{options['kind']}-{made.digest.partition(':')[2][:_TAG_LENGTH]}")
        traffic = images.push(
            made,
            wanted,
            source=source,
            transport=Transport(there.ca_bundle),
            cache=_cache(invocation),
            say=invocation.say,
        )
    _keep(invocation, options["kind"], str(wanted.at(made.digest)), made.python)
    told = {"image": str(wanted.at(made.digest)), **_document(made), "sent": traffic.sent}
    invocation.show(told, facts({"image": told["image"], "tag": wanted.tag, **_facts(made), "sent": traffic.sent}))


def _build(invocation: Invocation, options: dict[str, Any], source: Source) -> Built:
    from mlinfra.images import build as images  # noqa: PLC0415  help needs none of it
    from mlinfra.images.reference import Reference  # noqa: PLC0415  help needs none of it
    from mlinfra.images.transport import Transport  # noqa: PLC0415  help needs none of it

    there = invocation.choose().environment
    base = options["base"] or (there.images["base"].uri if "base" in there.images else "")
    if not base:
        todo = "name it with --base, for example python:3.11-slim, or in the environment's images"
        raise UsageError("there is no base image to build upon", todo=todo)
    recipe = _recipe(options, there)
    made = images.build(
        Reference.parse(base),
        recipe,
        source=source,
        transport=Transport(there.ca_bundle),
        cache=_cache(invocation),
        say=invocation.say,
    )
    trained = images.trained_with(options["model"]) if options["model"] and recipe.requirements else ""
    if trained not in ("", made.python):
        invocation.say(f"the model was trained with Python {trained}, the image holds {made.python}: it may not load")
    return made


def _recipe(options: dict[str, Any], there: Environment) -> Recipe:
    from mlinfra.images.build import Recipe, model_requirements  # noqa: PLC0415  help needs none of it

    model, file = options["model"], options["requirements"]
    wanted = list(model_requirements(model, options["platform"]) if model else ())
    if file:
        lines = (line.partition(" #")[0].strip() for line in _whole_lines(file))
        wanted += [line for line in lines if line and not line.startswith("#")]
    known = "" if options["base"] or "base" not in there.images else there.images["base"].python
    return Recipe(
        kind=options["kind"],
        requirements=tuple(wanted),
        platform=options["platform"],
        python=options["python"] or known,
        index=there.python_index,
    )


def _whole_lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


@contextmanager
def _logins(invocation: Invocation, options: dict[str, Any]) -> Iterator[Source]:
    """Who to be for a registry: the user given, else what the platform or Docker says of the registry."""
    from mlinfra.contract import adapter  # noqa: PLC0415  help needs none of it
    from mlinfra.images.dockerconfig import docker_credentials  # noqa: PLC0415  help needs none of it
    from mlinfra.images.login import platform_source  # noqa: PLC0415  help needs none of it
    from mlinfra.images.transport import Transport  # noqa: PLC0415  help needs none of it

    if options["user"]:
        known = _given(options)
        yield lambda _host: known
        return
    there = invocation.choose().environment
    with ExitStack() as open_clients:

        def connect() -> Client:
            client = adapter.load(there.platform).connect(there)
            open_clients.callback(client.close)
            return client

        yield platform_source(connect, docker_credentials, Transport(there.ca_bundle))


def _given(options: dict[str, Any]) -> Credentials:
    from mlinfra.images.login import Credentials  # noqa: PLC0415  help needs none of it

    if not options["password_stdin"]:
        raise UsageError("a user logs in with a password", given=options["user"], todo="add --password-stdin")
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Denied("no password came on stdin", given=options["user"])
    return Credentials(options["user"], password)


def _target(text: str, there: Environment, kind: str) -> Any:
    from mlinfra.images.reference import Reference, is_loopback  # noqa: PLC0415  help needs none of it

    home = there.registries.get("images", "")
    if not text and not home:
        raise UsageError("there is no registry to push to", todo="name one with --to HOST/REPOSITORY")
    given = text or f"{home.rstrip('/')}/{kind}"
    reference = Reference.parse(given)
    if reference.digest:
        raise UsageError("an image is pushed under a tag", given=given, todo="leave the digest out")
    if there.emulated and not is_loopback(reference.host):
        todo = "push to a registry of this machine: --to localhost:5000/REPOSITORY"
        raise UsageError("an emulated environment must not lead beyond this machine", given=given, todo=todo)
    named = ":" in given.rpartition("/")[2]
    return reference if named else replace(reference, tag="")


def _keep(invocation: Invocation, kind: str, uri: str, python: str) -> None:
    """Note the image in the environment's document, where that is a file of the project."""
    from mlinfra.engine import environments  # noqa: PLC0415  help needs none of it
    from mlinfra.environment import Image  # noqa: PLC0415  help needs none of it

    there = invocation.choose().environment
    if os.environ.get(environments.FILE_VARIABLE):
        invocation.say(f"{environments.FILE_VARIABLE} is left as it is: its images.{kind} would be {uri}")
        return
    images = {**there.images, kind: Image(uri=uri, python=python)}
    environments.keep(invocation.folders, there.model_copy(update={"images": images}), replace=True)
    invocation.say(f"images.{kind} of {there.name} is {uri}")


def _cache(invocation: Invocation) -> Path:
    return invocation.folders.ensure().cache / "images"


def _document(made: Built) -> dict[str, Any]:
    layers = [{"about": each.about, "digest": each.digest, "size": each.size} for each in made.image.layers]
    base = str(made.base_reference.at(made.base.digest))
    return {
        "digest": made.digest,
        "base": base,
        "python": made.python,
        "layers": layers,
        "packages": list(made.packages),
    }


def _facts(made: Built) -> dict[str, Any]:
    sizes = {each.about: f"{each.size / 1e6:.1f} MB" for each in made.image.layers}
    return {"digest": made.digest, "base": made.base.name, "python": made.python, **sizes}
