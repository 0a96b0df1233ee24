"""From the endpoint that is there to the one that is wanted, one long-running operation at a time.

Vertex AI makes one change of an endpoint after the other, and each takes minutes. A newcomer gets a model of its own,
then machines; traffic moves when it is ready, what is no longer wanted is undeployed when it has none, and its model
goes last. Every step follows from what is there alone, so a run that was killed anywhere is gone on with by the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra_gcp.places import resource
from mlinfra_gcp.render import endpoint_effects as effects
from mlinfra_gcp.render import endpoint_parts as parts
from mlinfra_gcp.render import endpoint_scaling as scaling
from mlinfra_gcp.render.endpoint_names import EXPIRES, SHELLS, endpoint_name
from mlinfra_gcp.render.endpoint_state import Standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired, EndpointObservation
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra_gcp.render.endpoint_state import Deployed, Prepared

    Phase: TypeAlias = Callable[[], Step | None]

POLL, POLL_EMULATED = 10.0, 0.5  # seconds; a deployment takes minutes
NEWCOMER = "0"  # the id, in a split, of the model that is being deployed (API description of DeployModel)


@dataclass(frozen=True)
class Procedure:
    """One look at an endpoint, and what to do about it."""

    desired: EndpointDesired
    observed: EndpointObservation | None
    environment: Environment

    @cached_property
    def standing(self) -> Standing:
        """What stands."""
        return Standing.of(self.observed)

    def step(self) -> Step:
        """What to do now."""
        phases = self._towards_nothing if self.desired.absent else self._towards_something
        return next((step for step in (phase() for phase in phases) if step is not None), Done())

    @property
    def _towards_nothing(self) -> tuple[Phase, ...]:
        return (self._quiet, self._emptied, self._tidied, self._removed)

    @property
    def _towards_something(self) -> tuple[Phase, ...]:
        return (
            self._sound,
            self._quiet,
            self._there,
            self._labelled,
            self._single,
            self._deployed,
            self._sized,
            self._routed,
            self._reduced,
            self._tidied,
        )

    # the endpoint as a whole

    def _quiet(self) -> Step | None:
        """Nothing is under way on the endpoint, and it can take another operation."""
        pending = self.standing.pending
        if pending is None:
            return None
        return Wait(f"{pending.kind or 'an operation'} on the endpoint to end", self._poll)

    def _sound(self) -> Step | None:
        """Whatever is still to be sent can be: it is rendered once before anything is, so a bad override costs nothing.

        Raises:
            SpecError, CapabilityError: it cannot.
        """
        for each in self._missing:
            parts.model(self.desired, each, self.environment)
            parts.machines(self.desired, each, self.environment)
        return None

    def _there(self) -> Step | None:
        """The endpoint is there: the kit's own, or the stack's shell."""
        if self.standing.endpoint is not None:
            return None
        if self.desired.name in (self.environment.native.get(SHELLS) or {}):
            return Failed(f"the stack's endpoint {self._name} is gone", todo="`mlinfra env up` makes it anew")
        return Send((effects.create_endpoint(parts.endpoint(self.desired, self.environment), self._name, self._poll),))

    def _labelled(self) -> Step | None:
        """The labels say whose the endpoint is and when it ends; a shell's are the stack's."""
        there = dict(self.standing.labels)
        wanted = parts.endpoint_labels(self.desired, self.environment)
        lasting = {name: value for name, value in there.items() if name != EXPIRES}
        if self.standing.is_shell or {**lasting, **wanted} == there:
            return None
        return Send((self._update("label", labels={**lasting, **wanted}),))

    # deployed models

    def _single(self) -> Step | None:
        """Every deployment is there once: the second one of a request that was sent again goes."""
        first = self.standing.first
        doubled = [each for each in self.standing.deployed if each is not first[each.deployment]]
        return self._undeploy(doubled[0]) if doubled else None

    def _deployed(self) -> Step | None:
        """Every deployment that is wanted has a deployed model."""
        missing = self._missing
        if not missing:
            return None
        newcomer = missing[0]
        body = parts.model(self.desired, newcomer, self.environment)
        prepared = next((each for each in self.standing.idle if each.id == body["modelId"]), None)
        strangers = [each for each in self.standing.idle if each is not prepared]
        if strangers:  # of two idle models nobody could tell whose deployment failed
            return self._deletion(strangers[0])
        if prepared is None:
            return Send((effects.upload_model(body, self.environment, self._poll),))
        failure = self.standing.failure_of(prepared)
        if failure:
            return Failed(f"deployment {newcomer.name} did not become ready: {failure}")
        return self._deploy(newcomer, prepared, is_last=len(missing) == 1)

    def _deploy(self, newcomer: DeploymentDesired, prepared: Prepared, *, is_last: bool) -> Step:
        """Deploy; with the last one the traffic moves in the same operation, when it is ready."""
        attempt = len(self.standing.deploys_of(prepared)) + 1
        split = self._split({newcomer.name: NEWCOMER}) if is_last else {}
        if split == self._standing_split():
            split = {}
        body = parts.deploy(self.desired, newcomer, self.environment, prepared=prepared, attempt=attempt, split=split)
        return Send((effects.deploy_model(newcomer.name, body, self._poll),))

    def _sized(self) -> Step | None:
        """Every deployment has as many replicas, at least and at most, as the spec says."""
        for each in self.desired.deployments:
            deployed = self.standing.first[each.name]
            if each.variant not in self.desired.spec.deployments or deployed.resources is None:
                continue
            wanted, most_at_least = parts.machines(self.desired, each, self.environment)
            if wanted is not None and not scaling.fits(deployed.resources, wanted, most_at_least):
                return Send((self._mutate(deployed, wanted),))
        return None

    def _routed(self) -> Step | None:
        """Traffic is split as wanted."""
        split = self._split({})
        return None if split == self._standing_split() else Send((self._update("traffic", trafficSplit=split),))

    def _reduced(self) -> Step | None:
        """Nothing is deployed that nobody wants; by now it has no traffic."""
        surplus = [each for each in self.standing.deployed if each.deployment not in self.desired.traffic]
        return self._undeploy(surplus[0]) if surplus else None

    def _tidied(self) -> Step | None:
        """No model is left behind which nothing is deployed."""
        return self._deletion(self.standing.idle[0]) if self.standing.idle else None

    # towards nothing

    def _emptied(self) -> Step | None:
        """Nothing is deployed; whoever has the least traffic goes first."""
        deployed = sorted(self.standing.deployed, key=lambda each: each.share)
        return self._undeploy(deployed[0]) if deployed else None

    def _removed(self) -> Step | None:
        """The endpoint is gone; the stack's shell stays."""
        if self.standing.endpoint is None or self.standing.is_shell:
            return None
        return Send((effects.delete_endpoint(self._name, self._poll),))

    # what the phases share

    @property
    def _missing(self) -> list[DeploymentDesired]:
        """The deployments that are wanted and not there."""
        return [each for each in self.desired.deployments if each.name not in self.standing.first]

    @property
    def _name(self) -> str:
        return endpoint_name(self.desired.physical_name, self.environment)

    @property
    def _poll(self) -> float:
        return POLL_EMULATED if self.environment.emulated else POLL

    def _split(self, newcomers: dict[str, str]) -> dict[str, int]:
        """The wanted traffic by the ids of deployed models; whoever gets none is not in it."""
        ids = {name: each.id for name, each in self.standing.first.items()} | newcomers
        return {ids[name]: share for name, share in self.desired.traffic.items() if share}

    def _standing_split(self) -> dict[str, int]:
        return {each.id: each.share for each in self.standing.deployed if each.share}

    def _update(self, step: str, **changes: Document | dict[str, str] | dict[str, int]) -> Request:
        """A change of the endpoint, refused where somebody else changed it since it was looked at."""
        etag = (self.standing.endpoint or {}).get("etag")
        body = {"name": self._name, **changes, **({"etag": etag} if etag else {})}
        return effects.update_endpoint(step, body, ",".join(changes))

    def _mutate(self, deployed: Deployed, wanted: Document) -> Request:
        body = {
            "id": deployed.id,
            "dedicatedResources": {**wanted, "machineSpec": (deployed.resources or {})["machineSpec"]},
        }
        return effects.mutate_model(self._name, deployed.deployment, body, scaling.MASK, self._poll)

    def _undeploy(self, deployed: Deployed) -> Step:
        """Undeploy. What traffic it has goes to the largest of the others; the last one needs no heir."""
        others = [each for each in self.standing.deployed if each is not deployed]
        split: dict[str, int] = {}
        if deployed.share and others:
            split = {each.id: each.share for each in others if each.share}
            heir = max(others, key=lambda each: each.share)
            split[heir.id] = heir.share + deployed.share
        return Send((effects.undeploy_model(self._name, deployed.deployment, deployed.id, split, self._poll),))

    def _deletion(self, prepared: Prepared) -> Step:
        name = resource(self.environment, "models", prepared.id)
        return Send((effects.delete_model(name, prepared.serves.deployment or prepared.id, self._poll),))
