"""`mlinfra spec`: files and their fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlinfra.cli.commands import Family, verb
from mlinfra.cli.output import Table, facts
from mlinfra.engine.sources import read
from mlinfra.spec import explain, json_schema, known_kinds, reference_markdown, warnings

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation


@click.group(cls=Family)
def spec() -> None:
    """Files: check them, explain their fields."""


@verb(spec, "check", prints="specs: [{kind, name}], warnings: [str]", example="mlinfra spec check mlinfra.yaml")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(invocation: Invocation, files: tuple[Path, ...]) -> None:
    """Check files, without looking at any environment.

    Every problem of every file at once, each with file, line and column.
    """
    sources = read(files, invocation.folders)
    found = [{"kind": each.spec.kind, "name": each.spec.name} for each in sources.all]
    advice = [f"{each.spec.kind} {each.spec.name}: {line}" for each in sources.all for line in warnings(each.spec)]
    for line in advice:
        invocation.say(f"warning: {line}")
    rows = [(each["kind"], each["name"], "well") for each in found]
    invocation.show({"specs": found, "warnings": advice}, Table(("kind", "name", "check"), rows))


@verb(spec, "schema", prints="json_schema: {…}", example="mlinfra spec schema > mlinfra.schema.json")
def schema(invocation: Invocation) -> None:
    """Print the JSON Schema of files, for editors."""
    document = json_schema()
    if invocation.as_json:
        invocation.show({"json_schema": document})
    else:
        click.echo(json.dumps(document, indent=2))


@verb(
    spec,
    "explain",
    prints="fields: [{path, kinds, description, type, default, keys}]",
    example="mlinfra spec explain resources.spot",
)
@click.argument(
    "path",
    required=False,
    shell_complete=lambda _c, _p, begun: [each for each in known_kinds() if each.startswith(begun)],
)
@click.option("--markdown", is_flag=True, show_default=False, help="Print the reference of all kinds as Markdown.")
def explain_(invocation: Invocation, path: str | None, *, markdown: bool) -> None:
    """Explain a kind or a field; without a PATH list the kinds."""
    if markdown:
        click.echo(reference_markdown())
        return
    found = [each for name in ([path] if path else known_kinds()) for each in explain(name)]
    invocation.show(
        {"fields": [vars(each) for each in found]},
        *(
            facts(
                {
                    "field": each.path,
                    "kinds": each.kinds,
                    "meaning": each.description,
                    "type": each.type,
                    "default": each.default,
                    "keys": each.keys,
                }
            )
            for each in found
        ),
    )
