"""The host's replies about models and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import Artefact
from mlinfra.contract.models import ModelPage, VersionObservation, VersionPage
from mlinfra.contract.states import Approval, VersionState
from mlinfra_local.observe.words import time_of, word_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.environment import Environment


def version(reply: Mapping[str, Any], environment: Environment) -> VersionObservation:  # noqa: ARG001  the contract's signature
    """DescribeModelVersion, CreateModelVersion, or an item of ListModelVersions."""
    return VersionObservation(
        native_id=f"{reply['model']}:{reply['version']}",
        model=reply["model"],
        version=str(reply["version"]),
        state=VersionState.READY,
        digest=reply["digest"],
        artefact=Artefact(reply["artifact"]["uri"], reply["digest"], reply["artifact"]["size"], is_folder=True),
        aliases=tuple(sorted(reply["aliases"])),
        stage=reply["stage"],
        approval=word_of(Approval, reply["approval_status"], Approval.PENDING),
        owner=reply["owner"],
        created=time_of(reply["created"]),
        lineage=dict(reply["lineage"]),
        metrics=dict(reply["metrics"]),
        tags=dict(reply["tags"]),
        native=dict(reply),
    )


def versions(reply: Mapping[str, Any], environment: Environment) -> VersionPage:
    """ListModelVersions."""
    return VersionPage(tuple(version(each, environment) for each in reply["versions"]), reply["next_token"])


def models(reply: Mapping[str, Any], environment: Environment) -> ModelPage:  # noqa: ARG001  the contract's signature
    """ListModels."""
    return ModelPage(tuple(each["model"] for each in reply["models"]), reply["next_token"])
