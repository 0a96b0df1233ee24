"""Vertex AI's replies about models and their versions. Total: what has no state is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.states import Approval, VersionState
from mlinfra_gcp import labels, metadata
from mlinfra_gcp.places import own_id
from mlinfra_gcp.render.models import DEFAULT, model_name
from mlinfra_gcp.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

_SERVED = "supportedDeploymentResourcesTypes"


def version(reply: Mapping[str, Any], environment: Environment) -> VersionObservation:
    """A Model, however it was asked for; versions of other tools have no digest.

    The registry has no states: a version is there when its upload has ended.
    """
    own = own_id(reply["name"]).partition("@")[0]
    number = reply.get("versionId", "")
    marks = dict(reply.get("labels", {}))
    record = metadata.unpack(reply.get("containerSpec", {}).get("env", ()))
    digest = record.get("digest", "")
    return VersionObservation(
        native_id=f"{own}@{number}" if number else own,
        model=model_name(own, environment),
        version=number,
        state=VersionState.READY,
        digest=digest,
        artefact=_artefact(reply.get("artifactUri", ""), digest, int(record.get("size", 0))),
        aliases=tuple(sorted(name for name in reply.get("versionAliases", ()) if name != DEFAULT)),
        stage=marks.get(metadata.STAGE, ""),
        approval=_approval(marks.get(metadata.APPROVAL, "")),
        owner=record.get("owner", ""),
        created=time_of(reply.get("versionCreateTime") or reply.get("createTime")),
        lineage=dict(record.get("lineage", {})),
        metrics=dict(record.get("metrics", {})),
        tags=labels.others(marks),
        detail=", ".join(reply.get(_SERVED, ())) or "registered",
        native=dict(reply),
    )


def versions(reply: Mapping[str, Any], environment: Environment) -> VersionPage:
    """ListModelVersions. Versions are counted, so their numbers tell the newest of a page."""
    found = [version(each, environment) for each in reply.get("models", ())]
    newest_first = sorted(found, key=lambda each: int(each.version or 0), reverse=True)
    return VersionPage(tuple(newest_first), reply.get("nextPageToken") or None)


def models(reply: Mapping[str, Any], environment: Environment) -> ModelPage:
    """ListModels."""
    found = tuple(model_name(own_id(each["name"]).partition("@")[0], environment) for each in reply.get("models", ()))
    return ModelPage(found, reply.get("nextPageToken") or None)


def _approval(text: str) -> Approval:
    return Approval(text) if text in list(Approval) else Approval.PENDING


def _artefact(uri: str, digest: str, size: int) -> Artefact | None:
    """The files of a version: the registry takes folders alone."""
    return Artefact(uri.rstrip("/"), digest, size, is_folder=True) if uri else None
