"""`mlinfra env`: the environments that a project knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra.cli.commands import Family, Member, destructive, verb
from mlinfra.cli.output import Table, facts, write_document
from mlinfra.contract.adapter import load
from mlinfra.engine import doctor as examination
from mlinfra.engine import environments, sync
from mlinfra.environment import parse
from mlinfra.errors import MlinfraError, SpecError

if TYPE_CHECKING:
    from mlinfra.cli.context import Invocation


MEMBERS = {
    "init": Member("mlinfra.cli.stack_files:init", "Write a stack's program and configuration into this project."),
    "bootstrap": Member("mlinfra.cli.stack_files:bootstrap", "Make the place where an environment's state lies."),
    "preview": Member("mlinfra.cli.stacks:preview", "Show what `env up` would change."),
    "up": Member("mlinfra.cli.stacks:up", "Stand an environment up, or bring it to what its program says."),
    "sweep": Member("mlinfra.cli.sweep:sweep", "Take away what the kit made and what has outlived its time."),
    "destroy": Member("mlinfra.cli.stacks:destroy", "Take an environment away, with all that the kit made in it."),
}


@click.group(cls=Family, members=MEMBERS)
def env() -> None:
    """Environments: named places to run things."""


@verb(
    env,
    "list",
    prints="environments: [{name, platform, stage, region, account, protected, emulated, default}]",
    example="mlinfra env list -o json",
)
def list_(invocation: Invocation) -> None:
    """List the environments that this project knows.

    `local`, the machine at hand, is always among them.
    """
    default = environments.default(invocation.folders)
    rows = [_row(invocation, name) for name in environments.names(invocation.folders)]
    for row in rows:
        row["default"] = row["name"] == default
    head = ("name", "platform", "stage", "region", "account", "default", "protected", "emulated", "problem")
    shown = [column for column in head if column != "problem" or any(row.get("problem") for row in rows)]
    invocation.show({"environments": rows}, Table(shown, [[row.get(column) for column in shown] for row in rows]))


def _row(invocation: Invocation, name: str) -> dict[str, Any]:
    """One environment; a document that is not readable is told in its place and hides no other."""
    try:
        found = environments.get(invocation.folders, name)
    except MlinfraError as exc:
        return {"name": name, "problem": exc.what}
    told = ("platform", "stage", "region", "account", "protected", "emulated")
    return {"name": name, **{field: getattr(found, field) for field in told}}


@verb(
    env,
    "show",
    prints="document: {…}, id: str, stack: {name, update, folder} | null",
    example="mlinfra env show aws-dev",
)
@click.argument("name", required=False)
def show(invocation: Invocation, name: str | None) -> None:
    """Show what an environment's document says, and where it came from.

    Without a NAME the one that commands would work in.
    """
    there = invocation.named(name)
    kept = sync.kept(invocation.folders, there.name)
    document = {"name": there.name, **there.as_document()}
    stack = {"name": kept.stack, "update": kept.update, "folder": str(kept.folder)} if kept else None
    origin = f"update {kept.update} of stack {kept.stack}" if kept else ""
    invocation.show(
        {"document": document, "id": there.id, "stack": stack},
        facts({**document, "id": there.id, "from": origin}),
    )


@verb(env, "use", prints="default: str", example="mlinfra env use aws-dev")
@click.argument("name")
def use(invocation: Invocation, name: str) -> None:
    """Make an environment the project's default.

    Writes `default_environment` to mlinfra.toml. A protected environment cannot be a default.
    """
    environments.use(invocation.folders, name)
    invocation.say(f"commands in {invocation.folders.root} now work in {name} unless told otherwise")
    invocation.show({"default": name})


@verb(env, "add", prints="added: str, file: str", example="mlinfra env add aws-dev.json")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, show_default=False, help="Put it in place of another document of that name.")
def add(invocation: Invocation, file: Path, *, replace: bool) -> None:
    """Keep an environment's document with the project, for resources that exist already.

    FILE is JSON in the shape that a stack exports.
    """
    try:
        document = json.loads(file.read_text())
    except ValueError as exc:
        raise SpecError(f"not a JSON document: {exc}", given=str(file), todo="correct the file") from exc
    if not isinstance(document, dict):
        raise SpecError("an environment is a JSON object", given=str(file), todo="see `mlinfra env show -o json`")
    there = parse(document, file=str(file))
    path = environments.keep(invocation.folders, there, replace=replace)
    invocation.say(f"{there.name} is kept in {path}")
    invocation.show({"added": there.name, "file": str(path)})


@verb(env, "remove", prints="removed: str", example="mlinfra env remove aws-dev --yes")
@click.argument("name")
@destructive
def remove(invocation: Invocation, name: str, *, yes: bool, confirm: str | None) -> None:
    """Forget the document of an environment.

    What is in the environment stays as it is.
    """
    there = environments.get(invocation.folders, name)
    environments.confirm(there, yes=yes, confirmation=confirm, verb=f"forgetting the document of {name}")
    environments.forget(invocation.folders, name)
    sync.forget(invocation.folders, name)
    invocation.say(f"{name} is forgotten; nothing in it was touched")
    invocation.show({"removed": name})


@verb(env, "sync", prints="synced: str, stack: str, update: int", example="mlinfra env sync aws-dev --program ../infra")
@click.argument("stack")
@click.option(
    "--program",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that holds Pulumi.yaml.  [default: the project's folder]",
)
def sync_(invocation: Invocation, stack: str, program: Path | None) -> None:
    """Read the output `environment` of a Pulumi stack and keep it.

    The number of the stack's update is kept beside it, so that `env doctor` can tell when it is stale.
    """
    there, kept = sync.sync(invocation.folders, stack, program)
    invocation.say(f"{there.name} is update {kept.update} of stack {kept.stack}")
    invocation.show({"synced": there.name, "stack": kept.stack, "update": kept.update})


@verb(
    env,
    "doctor",
    prints="checks: [{name, verdict, detail, identity, permission, fix}]",
    example="mlinfra env doctor aws-dev",
)
@click.argument("name", required=False)
def doctor(invocation: Invocation, name: str | None) -> int:
    """Check whether an environment would work from here.

    Looks at this machine, the credentials, and each right that the kit will use. What fails names the identity, the
    permission and a one-line fix. Nothing that it writes stays.
    """
    checks = []
    for check in examination.examine(invocation.named(name), invocation.folders):
        checks.append(check)
        if check.verdict is examination.Verdict.ILL:
            invocation.say(f"{check.name}: {check.detail}")
    head = ("check", "verdict", "detail", "identity", "permission", "fix")
    rows = [(each.name, each.verdict, each.detail, each.identity, each.permission, each.fix) for each in checks]
    invocation.show({"checks": [check.as_document() for check in checks]}, Table(head, rows))
    return examination.exit_code(checks)


@verb(
    env,
    "permissions",
    prints="permissions: {identity: [action]}, policy: {…}",
    example="mlinfra env permissions aws-prod --policy > policy.json",
)
@click.argument("name", required=False)
@click.option("--policy", is_flag=True, show_default=False, help="Print the policy document instead of a table.")
def permissions(invocation: Invocation, name: str | None, *, policy: bool) -> None:
    """Show what the kit will be allowed to do, to hand to an administrator.

    Needs no login and sends nothing.
    """
    there = invocation.named(name)
    config = load(there.platform).config
    document = dict(config.policy(there))
    if policy and not invocation.as_json:
        write_document(document)
        return
    rights = {identity: list(actions) for identity, actions in config.permissions(there).items()}
    rows = [(identity, action) for identity, actions in rights.items() for action in actions]
    invocation.show(
        {"permissions": rights, "policy": document},
        Table(("identity", "action"), rows, empty="this platform asks for no permission"),
    )
