"""Models as Vertex AI's registry takes them: a Model, and versions in it.

A model's id carries the environment, since a project may hold several. Aliases are the registry's own; stage and mark
of approval are labels. Every model has one version with the alias `default`, which cannot be deleted while there are
others, and the last version goes with its model (the vendor's guide on versioning).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Send, Step
from mlinfra.errors import SpecError
from mlinfra.spec import derive_name
from mlinfra_gcp import labels, metadata
from mlinfra_gcp.config import CRUD, MODELS, SUBMIT
from mlinfra_gcp.places import console, kms_key, parent, resource
from mlinfra_gcp.render.endpoint_choices import serving_image
from mlinfra_gcp.render.endpoint_parts import HEALTH_ROUTE, PORT, PREDICT_ROUTE
from mlinfra_gcp.render.jobs import followed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.models import Marks, Registration, VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

DEFAULT = "default"  # the alias that one version of every model has
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9-]")  # API description of Model.version_aliases
_PAGE = 100


def model_id(model: str, environment: Environment) -> str:
    """The id of a model's resource."""
    return derive_name("model", "gcp", model, environment.suffix)


def model_name(native_id: str, environment: Environment) -> str:
    """The inverse of `model_id`: no model's name is so long that it would be cut."""
    return native_id.removesuffix(f"-{environment.suffix}")


def observe(registration: Registration, environment: Environment) -> tuple[Request, ...]:
    """The version that holds these bytes already; no reply at all where there is no such model."""
    return (_by_digest(registration, environment),)


def next_step(registration: Registration, replies: Mapping[str, Document | None], environment: Environment) -> Step:
    """One UploadModel: a new model, or a new version of the one that is there."""
    reply = replies["version"]
    there = (reply or {}).get("models") or []
    if there:
        return Done(there[0])
    return Send((_upload(registration, environment, is_first=reply is None),))


def list_models(environment: Environment, token: str | None) -> Request:
    """A page of the models that the kit registered in this environment."""
    body: Document = {
        "parent": parent(environment),
        "filter": f"{labels.selects({labels.ENVIRONMENT: environment.suffix})} AND labels.{metadata.MODEL}:*",
        "orderBy": "display_name",
        "readMask": "name,labels",
        "pageSize": _PAGE,
        **_token(token),
    }
    return _read("models", "ListModels", body)


def list_versions(model: str, environment: Environment, token: str | None) -> Request:
    """A page of a model's versions; the newest first."""
    body: Document = {
        "name": _name(model_id(model, environment), environment),
        "orderBy": "create_time desc",
        "pageSize": _PAGE,
        **_token(token),
    }
    return _read("versions", "ListModelVersions", body)


def mark(
    version: VersionObservation,
    marks: Marks,
    siblings: tuple[VersionObservation, ...],  # noqa: ARG001  an alias that moves leaves its sibling by itself
    environment: Environment,
) -> tuple[Request, ...]:
    """One UpdateModel for what are labels here, one MergeVersionAliases, each only where there is something to set.

    Raises:
        SpecError: no version may have this alias.
    """
    wanted = _labels(version, marks)
    aliases = [*map(_alias, marks.add_aliases), *(f"-{name}" for name in marks.remove_aliases)]
    found = []
    if wanted is not None:
        model: Document = {"name": _name(version.native_id, environment), "labels": wanted}
        if etag := version.native.get("etag"):
            model["etag"] = etag
        found.append(_change("labels", "UpdateModel", {"model": model, "updateMask": "labels"}))
    if aliases:
        found.append(_merge("aliases", version.native_id, aliases, environment))
    return tuple(found)


def delete_version(
    version: VersionObservation, siblings: tuple[VersionObservation, ...], environment: Environment
) -> tuple[Request, ...]:
    """One DeleteModelVersion, after `default` went to the newest sibling; the last one goes with its model."""
    if not siblings:
        return ()
    body: Document = {"name": _name(version.native_id, environment)}
    delete = _operation("delete", "DeleteModelVersion", body)
    if DEFAULT not in version.native.get("versionAliases", ()):
        return (delete,)
    newest = max(siblings, key=lambda each: int(each.version or 0))
    return (_merge("default", newest.native_id, [DEFAULT], environment), delete)


def delete_model(model: str, environment: Environment) -> tuple[Request, ...]:
    """One DeleteModel."""
    return (_operation("delete", "DeleteModel", {"name": _name(model_id(model, environment), environment)}),)


def console_url(version: VersionObservation, environment: Environment) -> str:
    """The version's page."""
    own, _, number = version.native_id.partition("@")
    return console(environment, f"models/locations/{environment.region}/models/{own}/versions/{number}")


def describe(native_id: str, environment: Environment) -> Request:
    """One version by its id."""
    return _read("describe", "GetModel", {"name": _name(native_id, environment)})


def _upload(registration: Registration, environment: Environment, *, is_first: bool) -> Request:
    """No token makes a repetition harmless: the version is looked for by its digest."""
    own = model_id(registration.model, environment)
    target = {"modelId": own} if is_first else {"parentModel": _name(own, environment)}
    body: Document = {"parent": parent(environment), **target, "model": _model(registration, environment)}
    lookup = Lookup(_by_digest(registration, environment), "models")
    return Request(
        step="create",
        service=MODELS,
        operation="UploadModel",
        body=body,
        quota=SUBMIT,
        lookup=lookup,
        follow=followed("create"),
    )


def _model(registration: Registration, environment: Environment) -> Document:
    """The uncompressed files and the container that can serve them, so that the vendor's own tools can deploy it."""
    record: Document = {
        "digest": registration.digest,
        "owner": registration.owner,
        "size": registration.artefact.size,
        "lineage": registration.lineage,
        "metrics": dict(registration.metrics),
    }
    marks = {
        metadata.MODEL: registration.model,
        metadata.DIGEST: metadata.digest_label(registration.digest),
        metadata.APPROVAL: Approval.PENDING.value,
    }
    key = kms_key(environment, "model")
    return {
        "displayName": registration.model,
        "versionDescription": f"Model package {registration.digest}",
        "artifactUri": registration.artefact.uri.rstrip("/"),
        "containerSpec": {
            "imageUri": serving_image(environment),
            "env": metadata.pack(record),
            "ports": [{"containerPort": PORT}],
            "predictRoute": PREDICT_ROUTE,
            "healthRoute": HEALTH_ROUTE,
        },
        "labels": labels.labels(environment, registration.tags, **marks),
        **({"encryptionSpec": {"kmsKeyName": key}} if key else {}),
    }


def _labels(version: VersionObservation, marks: Marks) -> dict[str, str] | None:
    """All labels of a version with the new marks, since an update replaces them; None where nothing changes."""
    wanted = labels.fitting(marks.tags)
    if marks.stage is not None:
        wanted[metadata.STAGE] = marks.stage
    if marks.approval is not None:
        wanted[metadata.APPROVAL] = marks.approval.value
    return {**version.native.get("labels", {}), **wanted} if wanted else None


def _alias(name: str) -> str:
    if name == DEFAULT or not _ALIAS.fullmatch(name):
        raise SpecError(
            "no version on Vertex AI may have this alias",
            given=name,
            allowed="2 to 128 letters, digits and dashes, a lower-case letter first; `default` is the registry's own",
            todo="choose another, such as champion",
        )
    return name


def _merge(step: str, native_id: str, aliases: list[str], environment: Environment) -> Request:
    """Adds aliases, takes those with a dash before them away; an alias leaves the version that it was on."""
    body: Document = {"name": _name(native_id, environment), "versionAliases": aliases}
    return _change(step, "MergeVersionAliases", body)


def _by_digest(registration: Registration, environment: Environment) -> Request:
    body: Document = {
        "name": _name(model_id(registration.model, environment), environment),
        "filter": labels.selects({metadata.DIGEST: metadata.digest_label(registration.digest)}),
        "pageSize": 1,
    }
    return _read("version", "ListModelVersions", body)


def _name(native_id: str, environment: Environment) -> str:
    return resource(environment, "models", native_id)


def _read(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=MODELS, operation=operation, body=body, effect=False, quota=CRUD)


def _change(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=MODELS, operation=operation, body=body, quota=CRUD, repeatable=True)


def _operation(step: str, operation: str, body: Document) -> Request:
    return Request(
        step=step,
        service=MODELS,
        operation=operation,
        body=body,
        quota=SUBMIT,
        repeatable=True,
        follow=followed(step),
    )


def _token(token: str | None) -> Document:
    return {"pageToken": token} if token else {}
