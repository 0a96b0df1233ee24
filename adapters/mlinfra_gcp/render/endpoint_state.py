"""What stands: an endpoint with its deployed models, the models made for it, and the operations on it.

`observe.endpoint` keeps the replies in an observation's `native`; both it and the procedure read them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import ID_TAG
from mlinfra_gcp.places import own_id
from mlinfra_gcp.render.endpoint_names import Serves, deployment_of, served
from mlinfra_gcp.times import time_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document

DEPLOY = "DeployModel"
_METADATA = "OperationMetadata"  # how the names of the vendor's messages about operations end


@dataclass(frozen=True)
class Deployed:
    """A deployed model. `deployment` is the kit's name of it, `share` its percent of the traffic."""

    id: str
    deployment: str
    model: str
    share: int
    created: datetime | None
    body: Document

    @property
    def resources(self) -> Document | None:
        """Its dedicated machines; None where an override gave it others."""
        found: Document | None = self.body.get("dedicatedResources")
        return found

    @property
    def least(self) -> int:
        """Replicas that are always there."""
        return int((self.resources or self.body.get("automaticResources") or {}).get("minReplicaCount") or 1)


@dataclass(frozen=True)
class Prepared:
    """A model that was made for a deployment. `made` is its creation time as the service writes it."""

    id: str
    serves: Serves
    made: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Operation:
    """A long-running operation on the endpoint. `kind` is the vendor's word: DeployModel, Delete."""

    name: str
    kind: str
    done: bool
    error: str
    created: datetime | None
    stage: str


@dataclass(frozen=True)
class Standing:
    """An endpoint with all that was made for it. Without `endpoint` only such remains are left."""

    endpoint: Document | None
    deployed: tuple[Deployed, ...]
    prepared: tuple[Prepared, ...]
    operations: tuple[Operation, ...]

    @classmethod
    def of(cls, observed: EndpointObservation | None) -> Standing:
        """What an observation says; nothing at all where there is none."""
        return cls.told(observed.native if observed else {})

    @classmethod
    def told(cls, replies: Mapping[str, Any]) -> Standing:
        """What the replies of a look say, by step."""
        endpoint: Document | None = replies.get("endpoint")
        split = (endpoint or {}).get("trafficSplit") or {}
        deployed = [_deployed(each, split) for each in (endpoint or {}).get("deployedModels") or ()]
        models = (replies.get("models") or {}).get("models") or ()
        operations = (replies.get("operations") or {}).get("operations") or ()
        return cls(
            endpoint=endpoint,
            deployed=tuple(deployed),
            prepared=tuple(map(_prepared, models)),
            operations=tuple(map(_operation, operations)),
        )

    @property
    def labels(self) -> Mapping[str, str]:
        """The endpoint's labels."""
        return (self.endpoint or {}).get("labels") or {}

    @property
    def is_shell(self) -> bool:
        """Whether a stack made the endpoint, and the kit only fills it: it does not bear the kit's identity."""
        return self.endpoint is not None and ID_TAG not in self.labels

    @property
    def pending(self) -> Operation | None:
        """The operation under way, the newest if there are several."""
        return _newest([each for each in self.operations if not each.done])

    @property
    def first(self) -> dict[str, Deployed]:
        """Deployment -> its deployed model; of several the one with the most traffic, and of these the oldest."""
        found: dict[str, Deployed] = {}
        for each in sorted(self.deployed, key=lambda one: (-one.share, _moment(one.created))):
            found.setdefault(each.deployment, each)
        return found

    @property
    def idle(self) -> tuple[Prepared, ...]:
        """The models behind which no deployed model stands."""
        used = {each.model for each in self.deployed}
        return tuple(each for each in self.prepared if each.id not in used)

    def model_for(self, deployment: str) -> Prepared | None:
        """The model that was made for a deployment and is not deployed; the newest if there are several."""
        found = [each for each in self.idle if each.serves.deployment == deployment]
        return max(found, key=lambda each: _moment(time_of(each.made)), default=None)

    def deploys_of(self, model: Prepared) -> list[Operation]:
        """The attempts to deploy a model, the oldest first.

        An operation does not tell what it deploys; but while one deploys, no more than one model is made and not
        deployed, so those that began after it was made are its own.
        """
        made = _moment(time_of(model.made))
        deploys = [each for each in self.operations if each.kind == DEPLOY and _moment(each.created) >= made]
        return sorted(deploys, key=lambda each: _moment(each.created))

    def failure_of(self, model: Prepared) -> str:
        """Why the newest attempt to deploy a model failed; empty where it did not."""
        deploys = self.deploys_of(model)
        return deploys[-1].error if deploys and deploys[-1].done else ""


def _deployed(body: Document, split: Mapping[str, Any]) -> Deployed:
    return Deployed(
        id=str(body["id"]),
        deployment=deployment_of(body.get("displayName", "")),
        model=own_id(body.get("model", "")).partition("@")[0],
        share=int(split.get(str(body["id"])) or 0),
        created=time_of(body.get("createTime")),
        body=body,
    )


def _prepared(body: Document) -> Prepared:
    return Prepared(
        id=own_id(body["name"]).partition("@")[0],
        serves=served(body.get("versionDescription", "")),
        made=body.get("createTime", ""),
        labels=body.get("labels") or {},
    )


def _operation(body: Document) -> Operation:
    metadata = body.get("metadata") or {}
    error = body.get("error") or {}
    return Operation(
        name=body["name"],
        kind=str(metadata.get("@type", "")).rpartition(".")[2].removesuffix(_METADATA),
        done=bool(body.get("done")),
        error=str(error.get("message") or f"code {error.get('code')}") if error else "",
        created=time_of((metadata.get("genericMetadata") or {}).get("createTime")),
        stage=str(metadata.get("deploymentStage") or ""),
    )


def _newest(operations: list[Operation]) -> Operation | None:
    return max(operations, key=lambda each: _moment(each.created), default=None)


def _moment(time: datetime | None) -> float:
    return time.timestamp() if time else 0.0
