"""`mlinfra store`: the environment's object store."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli import documents
from mlinfra.cli.commands import Family, verb
from mlinfra.cli.output import Table

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation

_which = click.option("--store", "name", default="artefacts", help="Which of the environment's stores.")


@click.group(cls=Family)
def store() -> None:
    """The environment's object store.

    A KEY is a path in the store, `store://KEY`, or an address of the platform's own.
    """


@verb(store, "ls", prints="objects: [Object], complete: bool", example="mlinfra store ls inputs/")
@click.argument("prefix", default="", metavar="[KEY]")
@click.option("--limit", type=click.IntRange(1), default=1000, help="At most that many.")
@_which
def ls(invocation: Invocation, prefix: str, limit: int, name: str) -> None:
    """List what lies below a key."""
    with invocation.connect() as environment:
        chosen = environment.store.named(name)
        found = list(islice(chosen.list(prefix), limit + 1))
        told = [documents.stored(each, chosen.uri(each.key)) for each in found[:limit]]
    if len(found) > limit:
        invocation.say(f"the first {limit}; there are more")
    rows = [(each.key, each.size, each.modified) for each in found[:limit]]
    invocation.show(
        {"objects": told, "complete": len(found) <= limit},
        Table(("key", "size", "modified"), rows, empty="nothing lies there"),
    )


@verb(store, "get", prints="files: [str]", example="mlinfra store get inputs/train.csv data/")
@click.argument("key")
@click.argument("target", type=click.Path(path_type=Path), default=Path())
@_which
def get(invocation: Invocation, key: str, target: Path, name: str) -> None:
    """Fetch an object into a file, or everything below a key into a folder."""
    with invocation.connect() as environment:
        paths = environment.store.named(name).get(key, target)
    invocation.show({"files": [str(path) for path in paths]}, Table(("fetched",), [(path,) for path in paths]))


@verb(store, "put", prints="objects: [Object]", example="mlinfra store put data/train.csv inputs/")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("key")
@_which
def put(invocation: Invocation, source: Path, key: str, name: str) -> None:
    """Write a file, or the files of a folder, to the store.

    What lies under the same key is replaced. A KEY that ends with / keeps the file's name.
    """
    with invocation.connect() as environment:
        chosen = environment.store.named(name)
        written = chosen.put(source, key)
        told = [documents.stored(each, chosen.uri(each.key)) for each in written]
    rows = [(each["uri"], each["size"]) for each in told]
    invocation.show({"objects": told}, Table(("written", "size"), rows))
