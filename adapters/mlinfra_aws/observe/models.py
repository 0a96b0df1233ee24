"""SageMaker's replies about model packages and their groups. Total over the service's words, by test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.states import Approval, VersionState
from mlinfra_aws import metadata
from mlinfra_aws.observe.words import time_of
from mlinfra_aws.render.models import model_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

STATES = {
    "Pending": VersionState.CREATING,
    "InProgress": VersionState.CREATING,
    "Completed": VersionState.READY,
    "Failed": VersionState.FAILED,
    "Deleting": VersionState.DELETING,
}
APPROVALS = {
    "Approved": Approval.APPROVED,
    "Rejected": Approval.REJECTED,
    "PendingManualApproval": Approval.PENDING,
}
_GOING = {"Deleting", "DeleteFailed"}  # of a group


def version(reply: Mapping[str, Any], environment: Environment) -> VersionObservation:
    """DescribeModelPackage, or a record of Search; versions of other tools have no digest."""
    kept = reply.get("CustomerMetadataProperties") or {}
    record = metadata.unpack(kept)
    digest = kept.get(metadata.DIGEST, "")
    status = reply.get("ModelPackageStatus", "")
    return VersionObservation(
        native_id=reply["ModelPackageArn"],
        model=model_name(reply.get("ModelPackageGroupName", ""), environment),
        version=str(reply.get("ModelPackageVersion", "")),
        state=STATES.get(status, VersionState.UNKNOWN),
        digest=digest,
        artefact=_artefact(reply, digest, int(record.get("size", 0))),
        aliases=metadata.aliases(kept),
        stage=(reply.get("ModelLifeCycle") or {}).get("Stage", ""),
        approval=APPROVALS.get(reply.get("ModelApprovalStatus", ""), Approval.PENDING),
        owner=record.get("owner", ""),
        created=time_of(reply.get("CreationTime")),
        lineage=dict(record.get("lineage", {})),
        metrics=dict(record.get("metrics", {})),
        tags=dict(record.get("tags", {})),
        detail=status,
        native=dict(reply),
    )


def versions(reply: Mapping[str, Any], environment: Environment) -> VersionPage:
    """Search."""
    found = [each["ModelPackage"] for each in reply.get("Results", ()) if "ModelPackage" in each]
    there = (version(each, environment) for each in found)
    kept = tuple(each for each in there if each.state is not VersionState.DELETING)
    return VersionPage(kept, reply.get("NextToken") or None)


def models(reply: Mapping[str, Any], environment: Environment) -> ModelPage:
    """ListModelPackageGroups."""
    groups = [
        each["ModelPackageGroupName"]
        for each in reply.get("ModelPackageGroupSummaryList", ())
        if each.get("ModelPackageGroupStatus") not in _GOING
    ]
    ours = tuple(model_name(name, environment) for name in groups if name.endswith(f"-{environment.suffix}"))
    return ModelPage(ours, reply.get("NextToken") or None)


def _artefact(reply: Mapping[str, Any], digest: str, size: int) -> Artefact | None:
    """The files of a version: a prefix for the kit's, an archive for most others'."""
    containers = (reply.get("InferenceSpecification") or {}).get("Containers") or [{}]
    source = (containers[0].get("ModelDataSource") or {}).get("S3DataSource")
    if source is not None:
        return Artefact(source["S3Uri"].rstrip("/"), digest, size, is_folder=source["S3DataType"] == "S3Prefix")
    url = containers[0].get("ModelDataUrl", "")
    return Artefact(url, digest, size) if url else None
