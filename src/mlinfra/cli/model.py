"""`mlinfra model`: the registry and its versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlinfra import api
from mlinfra.cli import documents
from mlinfra.cli.commands import Family, destructive, verb
from mlinfra.cli.output import Table, ago, facts
from mlinfra.cli.parameters import pairs
from mlinfra.engine import environments
from mlinfra.errors import SpecError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.api.models import Version
    from mlinfra.cli.context import Invocation
    from mlinfra.engine.models import Shown

_VERSION = "VERSION"
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Family)
def model() -> None:
    """Models: the registry and its versions.

    A VERSION is named by NAME:3, NAME@ALIAS, NAME@sha256:DIGEST, a handle, or NAME alone where it has one.
    """


@verb(model, "register", prints="version: Version", example="mlinfra model register credit-risk ./model")
@click.argument("name")
@click.argument("path", type=click.Path(exists=True, path_type=Path), required=False)
@click.option("--job", help="Register what this job left instead of a PATH.")
@click.option("--output-name", metavar="NAME", default="model", help="Which of the job's outputs.")
@click.option("--tag", "tags", multiple=True, callback=pairs, metavar="KEY=VALUE", help="A tag for the version.")
def register(
    invocation: Invocation, name: str, path: Path | None, *, job: str | None, output_name: str, tags: dict[str, str]
) -> None:
    """Register a model package, or another tool's model file or folder.

    The same bytes give the same version. Nothing of the model is loaded.
    """
    if (path is None) == (job is None):
        raise UsageError("say what to register: a PATH, or a job with --job", todo="give one of the two")
    with invocation.connect() as environment:
        if job is not None:
            version = environment.models.register_output(name, job, output_name)
        else:
            version = environment.models.register(name, path or Path(), tags=tags)
        _show(invocation, version)


@verb(model, "list", prints="models: [str] | versions: [Version]", example="mlinfra model list credit-risk")
@click.argument("name", required=False)
def list_(invocation: Invocation, name: str | None) -> None:
    """List models, or the versions of one, the newest first."""
    with invocation.connect() as environment:
        if name is None:
            names = environment.models.list()
            invocation.show({"models": names}, Table(("model",), [(each,) for each in names], empty="no models"))
            return
        found = list(environment.models.versions(name))
    rows = [
        (
            each.name,
            each.aliases,
            each.observed.stage,
            each.observed.metrics,
            ago(each.observed.created),
            each.digest[:19],
        )
        for each in found
    ]
    invocation.show(
        {"versions": [documents.version(each) for each in found]},
        Table(("version", "aliases", "stage", "metrics", "created", "digest"), rows, empty="no versions"),
    )


@verb(model, "show", prints="version: KnownVersion", example="mlinfra model show credit-risk@champion")
@click.argument("reference", metavar=_VERSION)
@click.option("--verify", is_flag=True, show_default=False, help="Read every byte and compare it with the digest.")
def show(invocation: Invocation, reference: str, *, verify: bool) -> None:
    """Show a version: what it takes, where it came from, how well it does, who approved it."""
    with invocation.connect() as environment:
        version = environment.models.get(reference)
        if verify:
            version.verify()
            invocation.say(f"every byte of {version.name} is as it was registered")
        known = version.show()
        invocation.show({"version": documents.known_version(known)}, *_tables(known))


@verb(model, "alias", prints="version: Version", example="mlinfra model alias credit-risk:3 champion")
@click.argument("reference", metavar=_VERSION)
@click.argument("name", metavar="ALIAS")
@click.option("--remove", is_flag=True, show_default=False, help="Take the alias away; VERSION is the model's name.")
def alias(invocation: Invocation, reference: str, name: str, *, remove: bool) -> None:
    """Let an alias point at a version, away from the one it was on."""
    with invocation.connect() as environment:
        if remove:
            environment.models.unalias(reference, name)
            invocation.show({"model": reference, "removed": name})
        else:
            _show(invocation, environment.models.get(reference).alias(name))


@verb(model, "stage", prints="version: Version", example="mlinfra model stage credit-risk:3 staging")
@click.argument("reference", metavar=_VERSION)
@click.argument("name", metavar="STAGE", type=click.Choice(["dev", "staging", "prod"]))
def stage(invocation: Invocation, reference: str, name: str) -> None:
    """Mark a version with a stage."""
    with invocation.connect() as environment:
        _show(invocation, environment.models.get(reference).stage(name))


@verb(
    model,
    "approve",
    prints="decision: Decision",
    example='mlinfra model approve credit-risk:3 --note "reviewed with risk"',
)
@click.argument("reference", metavar=_VERSION)
@click.option("--note", default="", show_default=False, help="Why.")
@click.option("--reject", is_flag=True, show_default=False, help="Reject it instead.")
def approve(invocation: Invocation, reference: str, note: str, *, reject: bool) -> None:
    """Let a version serve where approval is asked for, in your own name.

    Where the stage asks for approval, somebody other than who registered it must give it.
    """
    with invocation.connect() as environment:
        version = environment.models.get(reference)
        decision = version.reject(note) if reject else version.approve(note)
    told = documents.decision(decision)
    invocation.show({"decision": told}, facts(told))


@verb(
    model,
    "evaluate",
    prints="evaluation: Evaluation",
    example="mlinfra model evaluate credit-risk:3 --data holdout.csv --label Status",
)
@click.argument("reference", metavar=_VERSION)
@click.option("--data", type=_file, help="CSV file with a header, and the truth beside the rows.")
@click.option("--label", help="The column that holds the truth.")
@click.option("--task", type=click.Choice(["classification", "regression"]), help="What the data does not tell.")
@click.option("--class", "classes", multiple=True, help="The classes in the order of the model's probabilities.")
@click.option("--positive", metavar="CLASS", help="The class whose probability is ranked.")
@click.option("--attach", type=_file, help="Keep measures from this JSON file instead: {metrics: {…}}.")
def evaluate(
    invocation: Invocation,
    reference: str,
    *,
    data: Path | None,
    label: str | None,
    task: str | None,
    classes: tuple[str, ...],
    positive: str | None,
    attach: Path | None,
) -> None:
    """Measure a version on labelled rows, and keep the measures beside it."""
    with invocation.connect() as environment:
        version = environment.models.get(reference)
        if attach is not None and data is None:
            found = version.attach(_measures(attach))
        elif data is not None and label is not None and attach is None:
            found = version.evaluate(data, label, task=task, classes=classes, positive=positive)
        else:
            raise UsageError("say what to measure on: --data and --label, or --attach", todo="give one of the two")
    invocation.show({"evaluation": documents.evaluation(found)}, facts(dict(found.metrics), found.digest))


@verb(model, "copy", prints="version: Version", example="mlinfra model copy credit-risk:3 --from aws-dev --to gcp-prod")
@click.argument("reference", metavar=_VERSION)
@click.option("--from", "source", metavar="ENVIRONMENT", help="Where it is.  [default: as -e]")
@click.option("--to", "target", metavar="ENVIRONMENT", required=True, help="Where it goes.")
@click.option("--name", help="Another name for it there.")
def copy(invocation: Invocation, reference: str, source: str | None, target: str, name: str | None) -> None:
    """Copy a version to another environment.

    Digest, lineage and evaluations go with it; its aliases, stage and approval do not.
    """
    invocation.environment = source or invocation.environment
    there = environments.get(invocation.folders, target)
    with invocation.connect() as here, api.connect(there, invocation.folders, invocation.say) as other:
        invocation.say(f"copying to {there.name}{', emulated' if there.emulated else ''}")
        _show(invocation, here.models.get(reference).copy_to(other, name=name))


@verb(model, "history", prints="history: [Entry]", example="mlinfra model history credit-risk")
@click.argument("name")
def history(invocation: Invocation, name: str) -> None:
    """Tell who did what to a model and its versions, the oldest first."""
    with invocation.connect() as environment:
        entries = environment.models.history(name)
    invocation.show(
        {"history": [documents.entry(each) for each in entries]},
        Table(
            ("time", "who", "verb", "subject", "details"),
            [(each.time, each.who, each.verb, each.subject, each.details) for each in entries],
        ),
    )


@verb(
    model,
    "download",
    prints="version: Version, folder: str",
    example="mlinfra model download credit-risk@champion --to ./champion",
)
@click.argument("reference", metavar=_VERSION)
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A folder that is not there yet.")
def download(invocation: Invocation, reference: str, target: Path) -> None:
    """Fetch a version's package into a folder, verified."""
    with invocation.connect() as environment:
        version = environment.models.get(reference)
        version.download(target)
    invocation.say(f"{version.name} is in {target}")
    invocation.show({"version": documents.version(version), "folder": str(target)})


@verb(model, "delete", prints="deleted: [str]", example="mlinfra model delete credit-risk:1 --yes")
@click.argument("reference", metavar=_VERSION)
@click.option(
    "--all", "everything", is_flag=True, show_default=False, help="All versions; VERSION is the model's name."
)
@click.option("--force", is_flag=True, show_default=False, help="Also what an alias points at or an endpoint serves.")
@destructive
def delete(
    invocation: Invocation, reference: str, *, everything: bool, force: bool, yes: bool, confirm: str | None
) -> None:
    """Delete a version, and its bytes where no other version holds the same.

    Decisions, evaluations and the history stay.
    """
    with invocation.connect() as environment:
        if everything:
            names = ", ".join(each.name for each in environment.models.versions(reference))
            invocation.confirm(f"deleting {names or reference}", yes=yes, confirm=confirm)
            deleted = list(environment.models.delete(reference, force=force))
        else:
            invocation.confirm(f"deleting {reference}", yes=yes, confirm=confirm)
            deleted = [environment.models.delete_version(reference, force=force)]
    invocation.say(f"deleted {', '.join(deleted)}")
    invocation.show({"deleted": deleted})


def _measures(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_text())
    except ValueError as exc:
        raise SpecError(f"not a JSON document: {exc}", given=str(path), todo="correct the file") from exc
    if not isinstance(document, dict):
        raise SpecError("an evaluation is a JSON object", given=str(path), allowed='{"metrics": {"auc": 0.83}, …}')
    return document


def _show(invocation: Invocation, version: Version) -> None:
    told = documents.version(version)
    invocation.show({"version": told}, facts(told))


def _tables(known: Shown) -> list[Table]:
    """What people want to see of a version, in that order."""
    observed, manifest = known.version, known.manifest
    standing = known.standing
    head = facts(
        {
            "version": known.handle,
            "state": observed.state.value,
            "digest": observed.digest,
            "aliases": observed.aliases,
            "stage": observed.stage,
            "approved": f"{'yes' if standing.approved else 'no'}: {standing.reason}",
            "registered by": standing.registrants,
            "created": observed.created,
            "metrics": dict(observed.metrics),
            "lineage": dict(observed.lineage),
            "format": manifest.format if manifest else "",
            "method": manifest.method if manifest else "",
            "sealed": _sealed(manifest.sealed) if manifest and manifest.sealed else "",
            "requirements": manifest.requirements if manifest else (),
            "problem": known.problem,
            "console": known.console_url,
        }
    )
    schema = manifest.schema.as_document()["inputs"] if manifest and manifest.schema else {}
    columns = [(name, *_column(each)) for name, each in schema.items()]
    measured = [(each.time, each.who, each.metrics) for each in known.evaluations]
    return [
        head,
        *([Table(("input", "type", "allowed", "required", "nullable"), columns)] if columns else []),
        *([Table(("evaluated", "by", "metrics"), measured)] if measured else []),
    ]


def _sealed(sealed: Mapping[str, Any]) -> str:
    return f"no: {sealed['reason']}" if "reason" in sealed else f"yes: {sealed.get('kind', '')}"


def _column(column: dict[str, object]) -> tuple[object, ...]:
    bounds = f"{column.get('min', '')}…{column.get('max', '')}" if {"min", "max"} & column.keys() else ""
    allowed = column.get("values") or bounds
    return column["type"], allowed, column.get("required", True), column.get("nullable", False)
