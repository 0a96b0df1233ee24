"""Models as SageMaker's registry takes them: a package group for a model, a package for a version.

A group's name carries the environment, since an account may hold several. What the registry lacks (aliases, lineage,
who registered it) is kept in the version's customer metadata.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mlinfra.catalog.aws.addresses import arn
from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import Approval
from mlinfra.contract.steps import Done, Send, Step
from mlinfra.spec import derive_name
from mlinfra_aws import metadata
from mlinfra_aws.config import READ, SAGEMAKER, WRITE, tag_list
from mlinfra_aws.places import console
from mlinfra_aws.render.jobs import ENVIRONMENT_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.models import Marks, Registration, VersionObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

APPROVALS = {
    Approval.APPROVED: "Approved",
    Approval.REJECTED: "Rejected",
    Approval.PENDING: "PendingManualApproval",
}
CONTENT_TYPES = ["application/json", "application/jsonlines", "text/csv"]  # what the kit's model server reads
_STAGE_STATUS = "Marked"  # the service asks for one beside the stage; approval is apart
_PAGE = 100
_TOKEN_LENGTH = 36


def group_name(model: str, environment: Environment) -> str:
    """The package group of a model."""
    return derive_name("model", "aws", model, environment.suffix)


def model_name(group: str, environment: Environment) -> str:
    """The inverse of `group_name`: no model's name is so long that it would be cut."""
    return group.removesuffix(f"-{environment.suffix}")


def observe(registration: Registration, environment: Environment) -> tuple[Request, ...]:
    """The version that holds these bytes already, if there is one, and the group's newest."""
    group = group_name(registration.model, environment)
    return (_by_digest(registration, environment), _search("newest", group, most=1))


def next_step(registration: Registration, replies: Mapping[str, Document | None], environment: Environment) -> Step:
    """One CreateModelPackage, after its group's where nothing is in that yet."""
    there = _packages(replies["version"])
    if there:
        return Done(there[0])
    newest = _packages(replies["newest"])
    create = _create_version(registration, environment, newest[0]["ModelPackageVersion"] if newest else 0)
    return Send((create,) if newest else (_create_group(registration, environment), create))


def list_models(environment: Environment, token: str | None) -> Request:
    """A page of the groups whose names carry the environment."""
    body: Document = {"NameContains": f"-{environment.suffix}", "MaxResults": _PAGE, **_token(token)}
    return _read("models", "ListModelPackageGroups", body)


def list_versions(model: str, environment: Environment, token: str | None) -> Request:
    """A page of Search, the one call that tells all of every version; the newest first."""
    return _search("versions", group_name(model, environment), token=token)


def mark(
    version: VersionObservation,
    marks: Marks,
    siblings: tuple[VersionObservation, ...],
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> tuple[Request, ...]:
    """One UpdateModelPackage for the version, then one for each sibling that an alias leaves."""
    moved = {alias: [each for each in siblings if alias in each.aliases] for alias in marks.add_aliases}
    left = {each.native_id: each for carriers in moved.values() for each in carriers}
    return (
        _update("mark", version, marks),
        *(_update(f"unmark-{each.version}", each, _without(each, marks.add_aliases)) for each in left.values()),
    )


def delete_version(
    version: VersionObservation,
    siblings: tuple[VersionObservation, ...],  # noqa: ARG001  the others do not mind
    environment: Environment,  # noqa: ARG001  the contract's signature
) -> tuple[Request, ...]:
    """One DeleteModelPackage."""
    return (_change("delete", "DeleteModelPackage", {"ModelPackageName": version.native_id}),)


def delete_model(model: str, environment: Environment) -> tuple[Request, ...]:
    """One DeleteModelPackageGroup."""
    body: Document = {"ModelPackageGroupName": group_name(model, environment)}
    return (_change("delete", "DeleteModelPackageGroup", body),)


def console_url(version: VersionObservation, environment: Environment) -> str:
    """The version's page."""
    return console(environment, f"model-packages/{version.native_id}")


def describe(native_id: str) -> Request:
    """One version by its ARN."""
    return _read("describe", "DescribeModelPackage", {"ModelPackageName": native_id})


def _create_group(registration: Registration, environment: Environment) -> Request:
    name = group_name(registration.model, environment)
    tags = {**environment.tags, ENVIRONMENT_TAG: environment.suffix, "mlinfra_model": registration.model}
    body: Document = {
        "ModelPackageGroupName": name,
        "ModelPackageGroupDescription": f"{registration.model} in {environment.name}",
        "Tags": tag_list(tags),
    }
    there = _read("group", "DescribeModelPackageGroup", {"ModelPackageGroupName": name})
    return _change("create-group", "CreateModelPackageGroup", body, Lookup(there))


def _create_version(registration: Registration, environment: Environment, newest: int) -> Request:
    """The token makes a repetition harmless; that it names the newest version lets deleted bytes come back later."""
    parts = (environment.id, registration.model, registration.digest, str(newest))
    record: Document = {
        "owner": registration.owner,
        "size": registration.artefact.size,
        "lineage": registration.lineage,
        "metrics": dict(registration.metrics),
        "tags": dict(registration.tags),
    }
    body: Document = {
        "ModelPackageGroupName": group_name(registration.model, environment),
        "ModelPackageDescription": _description(registration.digest),
        "InferenceSpecification": _inference(registration, environment),
        "ModelApprovalStatus": APPROVALS[Approval.PENDING],
        "CustomerMetadataProperties": metadata.pack(registration.digest, record),
        "ClientToken": hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_TOKEN_LENGTH],
        **_origin(registration, environment),
    }
    lookup = Lookup(_by_digest(registration, environment), "Results.0.ModelPackage")
    return _change("create", "CreateModelPackage", body, lookup)


def _inference(registration: Registration, environment: Environment) -> Document:
    """The uncompressed files, as CreateModel takes them too."""
    source = {
        "S3Uri": f"{registration.artefact.uri.rstrip('/')}/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    image = environment.images.get("serving") or environment.images.get("base")
    container: Document = {
        **({"Image": image.uri} if image else {}),
        "ModelDataSource": {"S3DataSource": source},
    }
    return {
        "Containers": [container],
        "SupportedContentTypes": CONTENT_TYPES,
        "SupportedResponseMIMETypes": CONTENT_TYPES[:1],
    }


def _origin(registration: Registration, environment: Environment) -> Document:
    """The job, where SageMaker's own pages look for it."""
    name, code = registration.lineage.get("name"), registration.lineage.get("code")
    properties = {
        **({"GeneratedBy": arn(environment, "sagemaker", f"training-job/{name}")} if name else {}),
        **({"CommitId": str(code)} if code else {}),
    }
    return {"MetadataProperties": properties} if properties else {}


def _update(step: str, version: VersionObservation, marks: Marks) -> Request:
    """Every pair is sent with a change of one, so that it makes no difference whether the service adds or replaces."""
    known: dict[str, str] = dict(version.native.get("CustomerMetadataProperties") or {})
    wanted = {key: value for key, value in known.items() if key.removeprefix(metadata.ALIAS) not in _gone(marks)}
    wanted |= {f"{metadata.ALIAS}{alias}": "true" for alias in marks.add_aliases}
    if marks.tags:
        record = metadata.unpack(known)
        tags = {**record.get("tags", {}), **marks.tags}
        wanted |= metadata.pack(version.digest, {**record, "tags": tags})
    removed = sorted(known.keys() - wanted.keys())
    body: Document = {
        "ModelPackageArn": version.native_id,
        **({"CustomerMetadataProperties": wanted} if wanted and wanted != known else {}),
        **({"CustomerMetadataPropertiesToRemove": removed} if removed else {}),
        **({"ModelLifeCycle": _life_cycle(marks.stage)} if marks.stage is not None else {}),
        **({"ModelApprovalStatus": APPROVALS[marks.approval]} if marks.approval is not None else {}),
    }
    return _change(step, "UpdateModelPackage", body)


def _gone(marks: Marks) -> set[str]:
    return set(marks.remove_aliases)


def _without(version: VersionObservation, names: tuple[str, ...]) -> Marks:
    from mlinfra.contract.models import Marks  # noqa: PLC0415  a type elsewhere in this module

    return Marks(remove_aliases=tuple(name for name in names if name in version.aliases))


def _life_cycle(stage: str) -> Document:
    return {"Stage": stage, "StageStatus": _STAGE_STATUS}


def _by_digest(registration: Registration, environment: Environment) -> Request:
    group = group_name(registration.model, environment)
    return _search("version", group, most=1, description=_description(registration.digest))


def _description(digest: str) -> str:
    return f"Model package {digest}"


def _search(step: str, group: str, *, most: int = _PAGE, description: str = "", token: str | None = None) -> Request:
    filters = [{"Name": "ModelPackageGroupName", "Operator": "Equals", "Value": group}]
    if description:
        filters.append({"Name": "ModelPackageDescription", "Operator": "Equals", "Value": description})
    body: Document = {
        "Resource": "ModelPackage",
        "SearchExpression": {"Filters": filters},
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": most,
        **_token(token),
    }
    return _read(step, "Search", body)


def _packages(reply: Document | None) -> list[Document]:
    return [each["ModelPackage"] for each in (reply or {}).get("Results", ()) if "ModelPackage" in each]


def _read(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=SAGEMAKER, operation=operation, body=body, effect=False, quota=READ)


def _change(step: str, operation: str, body: Document, lookup: Lookup | None = None) -> Request:
    return Request(
        step=step, service=SAGEMAKER, operation=operation, body=body, quota=WRITE, repeatable=True, lookup=lookup
    )


def _token(token: str | None) -> Document:
    return {"NextToken": token} if token else {}
