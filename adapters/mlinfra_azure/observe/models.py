"""Azure Machine Learning's replies about models and their versions. Total over the service's words, by test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.states import Approval, VersionState
from mlinfra_azure import metadata
from mlinfra_azure.paging import next_page
from mlinfra_azure.render.models import model_name
from mlinfra_azure.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment

STATES = {  # AssetProvisioningState
    "Succeeded": VersionState.READY,
    "Failed": VersionState.FAILED,
    "Canceled": VersionState.FAILED,
    "Creating": VersionState.CREATING,
    "Updating": VersionState.CREATING,
    "Deleting": VersionState.DELETING,
}


def version(reply: Mapping[str, Any], environment: Environment) -> VersionObservation:
    """A version, however it was asked for; versions of other tools have no digest."""
    about: Mapping[str, Any] = reply.get("properties") or {}
    known: Mapping[str, str] = about.get("properties") or {}
    tags: dict[str, str] = dict(about.get("tags") or {})
    record = metadata.unpack(known)
    digest = known.get(metadata.DIGEST, "")
    status = str(about.get("provisioningState") or "Succeeded")
    return VersionObservation(
        native_id=str(reply["id"]),
        model=model_name(_model(str(reply["id"])), environment),
        version=str(reply.get("name", "")),
        state=STATES.get(status, VersionState.UNKNOWN),
        digest=digest,
        artefact=_artefact(str(record.get("uri") or about.get("modelUri") or ""), digest, int(record.get("size", 0))),
        aliases=metadata.aliases(tags),
        stage=str(about.get("stage") or tags.get(metadata.STAGE, "")),
        approval=_approval(tags.get(metadata.APPROVAL, "")),
        owner=record.get("owner", ""),
        created=time_of((reply.get("systemData") or {}).get("createdAt")),
        lineage=dict(record.get("lineage", {})),
        metrics=dict(record.get("metrics", {})),
        tags=metadata.others(tags),
        detail=status,
        native=dict(reply),
    )


def versions(reply: Mapping[str, Any], environment: Environment) -> VersionPage:
    """A listing of versions, without what is being deleted."""
    found = (version(each, environment) for each in reply.get("value") or ())
    return VersionPage(tuple(each for each in found if each.state is not VersionState.DELETING), next_page(reply))


def models(reply: Mapping[str, Any], environment: Environment) -> ModelPage:
    """A listing of containers: those whose names carry the environment."""
    names = [str(each["name"]) for each in reply.get("value") or ()]
    ours = tuple(model_name(name, environment) for name in names if name.endswith(f"-{environment.suffix}"))
    return ModelPage(ours, next_page(reply))


def _model(native_id: str) -> str:
    """The model's name in a version's id: `…/models/<name>/versions/<version>`."""
    return native_id.rpartition("/versions/")[0].rpartition("/")[2]


def _approval(text: str) -> Approval:
    return Approval(text) if text in list(Approval) else Approval.PENDING


def _artefact(uri: str, digest: str, size: int) -> Artefact | None:
    """The files of a version; the kit's are folders."""
    return Artefact(uri.rstrip("/"), digest, size, is_folder=True) if uri else None
