"""What stands: an endpoint, its deployments, and the settings by which they scale.

`observe.endpoint` keeps the replies in an observation's `native`; both it and the procedure read them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.contract.jobs import ID_TAG
from mlinfra.contract.states import EndpointState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.endpoints import EndpointObservation
    from mlinfra.contract.requests import Document

# The reads of `observe`. A resource group's settings are those of all its endpoints, and a reply does not tell whose
# were asked for: the step's name does.
ENDPOINT, DEPLOYMENTS, SETTINGS_OF = "endpoint", "deployments", "settings of "

# The vendor's words for endpoints (EndpointProvisioningState) and for deployments (DeploymentProvisioningState).
ENDPOINT_STATES = {
    "Creating": EndpointState.CREATING,
    "Deleting": EndpointState.DELETING,
    "Succeeded": EndpointState.READY,
    "Failed": EndpointState.FAILED,
    "Updating": EndpointState.UPDATING,
    "Canceled": EndpointState.FAILED,
}
DEPLOYMENT_STATES = {**ENDPOINT_STATES, "Scaling": EndpointState.UPDATING}
_UNTOLD = "an unknown state"
_TARGET = "/onlineendpoints/{endpoint}/deployments/"  # in the lower-case id of a deployment


@dataclass(frozen=True)
class Deployed:
    """A deployment. `word` is the vendor's for its state, `share` its percent of the traffic."""

    name: str
    word: str
    share: int
    body: Document

    @property
    def state(self) -> EndpointState:
        """Its state."""
        return DEPLOYMENT_STATES.get(self.word, EndpointState.UNKNOWN)

    @property
    def capacity(self) -> int:
        """How many instances it should have."""
        return int((self.body.get("sku") or {}).get("capacity") or 1)

    @property
    def compute(self) -> str:
        """Managed, or Kubernetes."""
        return str(self.body["properties"].get("endpointComputeType") or "Managed")


@dataclass(frozen=True)
class Setting:
    """An autoscale setting of the kit's, and the deployment that it scales."""

    name: str
    deployment: str
    body: Document


@dataclass(frozen=True)
class Standing:
    """An endpoint with all that was made for it. Without `endpoint` only such remains are left."""

    endpoint: Document | None
    deployed: tuple[Deployed, ...]
    settings: tuple[Setting, ...]
    physical_name: str = ""

    @classmethod
    def of(cls, observed: EndpointObservation | None) -> Standing:
        """What an observation says; nothing at all where there is none."""
        return cls.told(observed.native if observed else {})

    @classmethod
    def told(cls, replies: Mapping[str, Any]) -> Standing:
        """What the replies of a look say, by step."""
        endpoint: Document | None = replies.get(ENDPOINT)
        shares = (endpoint or {}).get("properties", {}).get("traffic") or {}
        deployed = (replies.get(DEPLOYMENTS) or {}).get("value") or () if endpoint else ()
        step = next((name for name in replies if name.startswith(SETTINGS_OF)), "")
        physical_name = step.removeprefix(SETTINGS_OF)
        return cls(
            endpoint=endpoint,
            deployed=tuple(_deployed(each, shares) for each in deployed),
            settings=tuple(_settings(replies.get(step) or {}, physical_name)),
            physical_name=physical_name,
        )

    @property
    def tags(self) -> Mapping[str, str]:
        """The endpoint's tags."""
        return (self.endpoint or {}).get("tags") or {}

    @property
    def is_shell(self) -> bool:
        """Whether a stack made the endpoint, and the kit only fills it: it does not bear the kit's identity."""
        return self.endpoint is not None and ID_TAG not in self.tags

    @property
    def word(self) -> str:
        """The vendor's word for the endpoint's state."""
        return str((self.endpoint or {}).get("properties", {}).get("provisioningState") or "")

    @property
    def traffic(self) -> dict[str, int]:
        """Deployment -> percent of the requests; whoever has none is left out."""
        return self._shares("traffic")

    @property
    def mirrored(self) -> dict[str, int]:
        """Deployment -> percent of the requests of which it gets copies."""
        return self._shares("mirrorTraffic")

    @property
    def busy(self) -> str:
        """What an operation is under way on, in words; empty where the endpoint can take another."""
        state = ENDPOINT_STATES.get(self.word, EndpointState.UNKNOWN)
        if self.endpoint is not None and _unsettled(state):
            return f"the endpoint, which is {self.word or _UNTOLD}"
        each = next((each for each in self.deployed if _unsettled(each.state)), None)
        return f"deployment {each.name}, which is {each.word or _UNTOLD}" if each else ""

    def deployment(self, name: str) -> Deployed | None:
        """The deployment of that name."""
        return next((each for each in self.deployed if each.name == name), None)

    def setting(self, deployment: str) -> Setting | None:
        """The setting that scales a deployment."""
        return next((each for each in self.settings if each.deployment == deployment), None)

    def _shares(self, kind: str) -> dict[str, int]:
        told = (self.endpoint or {}).get("properties", {}).get(kind) or {}
        return {name: int(share) for name, share in told.items() if share}


def _unsettled(state: EndpointState) -> bool:
    return state.busy or state is EndpointState.UNKNOWN


def _deployed(body: Document, shares: Mapping[str, Any]) -> Deployed:
    return Deployed(
        name=body["name"],
        word=str(body["properties"].get("provisioningState") or ""),
        share=int(shares.get(body["name"]) or 0),
        body=body,
    )


def _settings(reply: Mapping[str, Any], physical_name: str) -> Iterator[Setting]:
    """The kit's own settings for deployments of one endpoint, which may be gone."""
    marked = _TARGET.format(endpoint=physical_name)
    for body in reply.get("value") or ():
        target = str(body.get("properties", {}).get("targetResourceUri") or "").lower()
        if marked in target and ID_TAG in (body.get("tags") or {}):
            yield Setting(body["name"], target.rpartition("/")[2], body)
