"""From the endpoint that is there to the one that is wanted, one long-running operation at a time.

A newcomer gets its machines first, traffic moves when it is ready, and what is no longer wanted goes when it has none.
Azure ML refuses an operation while another one is under way on the endpoint or on a deployment of it, so every change
waits until all of them are quiet. Every step follows from what is there alone, so a run that was killed anywhere is
gone on with by the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlinfra.contract.states import EndpointState
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra_azure.render import endpoint_effects as effects
from mlinfra_azure.render import endpoint_parts as parts
from mlinfra_azure.render import endpoint_scaling as scaling
from mlinfra_azure.render.endpoint_choices import KUBERNETES
from mlinfra_azure.render.endpoint_names import EXPIRES_TAG, setting_name
from mlinfra_azure.render.endpoint_state import ENDPOINT_STATES, Standing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired, EndpointObservation
    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra_azure.render.endpoint_state import Deployed

    Phase: TypeAlias = Callable[[], Step | None]

MOST_DEPLOYMENTS = 20  # of one endpoint (the service's limits)
POLL, POLL_EMULATED = 10.0, 0.5  # seconds; a deployment takes minutes


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
        return (self._quiet, self._routed, self._reduced, self._tidied, self._removed)

    @property
    def _towards_something(self) -> tuple[Phase, ...]:
        return (
            self._sound,
            self._quiet,
            self._there,
            self._tagged,
            self._deployed,
            self._sized,
            self._scaled,
            self._routed,
            self._reduced,
            self._tidied,
        )

    # the endpoint as a whole

    def _sound(self) -> Step | None:
        """Whatever is still to be sent can be: it is rendered once before anything is, so a bad override costs nothing.

        Raises:
            SpecError, CapabilityError: it cannot.
        """
        for each in self._missing:
            parts.deployment(self.desired, each, self.environment)
        if self.standing.endpoint is None:
            parts.endpoint(self.desired, self.environment)
        if scaling.scales(self.desired.spec):
            for each in self.desired.deployments:
                scaling.setting(self.desired, each.name, self.environment)
        return None

    def _quiet(self) -> Step | None:
        """Nothing is under way on the endpoint or its deployments, so that it can take another operation."""
        return Wait(self.standing.busy, self._poll) if self.standing.busy else None

    def _there(self) -> Step | None:
        """The endpoint is there: the kit's own, or the stack's shell."""
        if self.standing.endpoint is None:
            body = parts.endpoint(self.desired, self.environment)
            return Send((effects.create_endpoint(self._name, body, self._poll),))
        if ENDPOINT_STATES.get(self.standing.word) is EndpointState.FAILED and not self.standing.deployed:
            return Failed(
                f"the endpoint is {self.standing.word}, and Azure ML gives no reason",
                todo=f"`mlinfra endpoint delete {self.desired.name}`, then deploy again",
            )
        return None

    def _tagged(self) -> Step | None:
        """The tags say whose the endpoint is and when it ends; a shell's are the stack's."""
        there = dict(self.standing.tags)
        wanted = parts.endpoint_tags(self.desired, self.environment)
        lasting = {name: value for name, value in there.items() if name != EXPIRES_TAG}
        if self.standing.is_shell or {**lasting, **wanted} == there:
            return None
        return Send((self._update("tag", tags={**lasting, **wanted}),))

    # deployments

    def _deployed(self) -> Step | None:
        """Every deployment that is wanted is there and ready. One that serves has failed to change, not to start."""
        for each in self.desired.deployments:
            found = self.standing.deployment(each.name)
            if found is not None and found.state is EndpointState.FAILED and not found.share:
                return Failed(
                    f"deployment {each.name} is {found.word}; Azure ML told why to whoever waited for it",
                    todo=f"`mlinfra endpoint logs {self.desired.name} --deployment {each.name}` has its servers' words",
                )
        missing = self._missing
        if not missing:
            return None
        if len(self.standing.deployed) + len(missing) > MOST_DEPLOYMENTS:
            return Failed(
                f"Azure ML holds {MOST_DEPLOYMENTS} deployments behind an endpoint, and the change would need "
                f"{len(self.standing.deployed) + len(missing)} for a while",
                todo="change fewer deployments at once",
            )
        newcomer = missing[0]
        body = parts.deployment(self.desired, newcomer, self.environment)
        _, runs_in = parts.serving_environment(self.environment)
        return Send((runs_in, effects.create_deployment(self._name, newcomer.name, body, self._poll)))

    def _sized(self) -> Step | None:
        """Every deployment has as many instances as it should, or as many as it may where they are scaled."""
        scale, scales = self.desired.spec.scale, scaling.scales(self.desired.spec)
        for each, found in self._wanted:
            if found.compute == KUBERNETES and scales:
                continue
            count = min(scale.max, max(1, scale.min, found.capacity)) if scales else each.replicas
            if found.capacity != count:
                return Send((effects.resize_deployment(self._name, each.name, count, self._poll),))
        return None

    def _scaled(self) -> Step | None:
        """What is there scales as the spec says."""
        if not scaling.scales(self.desired.spec):
            return self._unscaled([each.name for each in self.standing.settings])
        requests = []
        for each, found in self._wanted:
            if found.compute == KUBERNETES:
                continue
            body = scaling.setting(self.desired, each.name, self.environment)
            there = self.standing.setting(each.name)
            if there is None or scaling.told(there.body) != scaling.told(body):
                requests.append(effects.put_setting(setting_name(self._name, each.name), body))
        return Send(tuple(requests)) if requests else None

    def _routed(self) -> Step | None:
        """Requests are split, and copied, as wanted."""
        if self.standing.endpoint is None:
            return None
        split = {name: share for name, share in self.desired.traffic.items() if share}
        copies = dict([self.desired.shadow]) if self.desired.shadow else {}
        if (split, copies) == (self.standing.traffic, self.standing.mirrored):
            return None
        return Send((self._update("traffic", traffic=split, mirrorTraffic=copies),))

    def _reduced(self) -> Step | None:
        """No deployment is there that nobody wants; by now it has no traffic."""
        surplus = [each for each in self.standing.deployed if each.name not in self.desired.traffic]
        if not surplus:
            return None
        setting = self.standing.setting(surplus[0].name)
        before = (effects.delete_setting(setting.name),) if setting else ()
        return Send((*before, effects.delete_deployment(self._name, surplus[0].name, self._poll)))

    def _tidied(self) -> Step | None:
        """No setting is left that scales nothing."""
        return self._unscaled(
            [each.name for each in self.standing.settings if self.standing.deployment(each.deployment) is None]
        )

    def _removed(self) -> Step | None:
        """The endpoint is gone; the stack's shell stays."""
        if self.standing.endpoint is None or self.standing.is_shell:
            return None
        return Send((effects.delete_endpoint(self._name, self._poll),))

    # what the phases share

    @property
    def _name(self) -> str:
        return self.desired.physical_name

    @property
    def _poll(self) -> float:
        return POLL_EMULATED if self.environment.emulated else POLL

    @property
    def _missing(self) -> list[DeploymentDesired]:
        """The deployments that are wanted and not there."""
        return [each for each in self.desired.deployments if self.standing.deployment(each.name) is None]

    @property
    def _wanted(self) -> list[tuple[DeploymentDesired, Deployed]]:
        """The deployments that are wanted and there, but for those of which the spec knows nothing."""
        known = [each for each in self.desired.deployments if each.variant in self.desired.spec.deployments]
        pairs = [(each, self.standing.deployment(each.name)) for each in known]
        return [(each, found) for each, found in pairs if found is not None]

    def _update(self, step: str, *, tags: dict[str, str] | None = None, **properties: Any) -> Request:
        """A change of the endpoint as it was looked at: PUT replaces the whole of it."""
        there: Document = self.standing.endpoint or {}
        body = parts.changed(there, tags=tags, **properties)
        return effects.update_endpoint(step, self._name, body, str(there.get("etag") or ""), self._poll)

    @staticmethod
    def _unscaled(settings: list[str]) -> Step | None:
        return Send(tuple(effects.delete_setting(name) for name in settings)) if settings else None
