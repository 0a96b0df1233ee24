"""From the endpoint that is there to the one that is wanted, one operation of SageMaker's at a time.

New variants come in with a new configuration and no weight, then weights move, then what is no longer wanted goes
with another configuration; what an endpoint does not use any more is deleted when it reports what it uses. Every step
follows from what is there alone, so a run that was killed anywhere is gone on with by the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlinfra.contract.requests import Lookup, Request
from mlinfra.contract.states import EndpointState
from mlinfra.contract.steps import Done, Failed, Send, Step, Wait
from mlinfra_aws.config import READ, SAGEMAKER, WRITE, overridden, tag_list
from mlinfra_aws.render import endpoint_alarms as alarms
from mlinfra_aws.render import endpoint_scaling as scaling
from mlinfra_aws.render.endpoint_guard import deployment_config
from mlinfra_aws.render.endpoint_names import EXPIRES_TAG, NAME_TAG
from mlinfra_aws.render.endpoint_parts import Newcomer, Parts, parts
from mlinfra_aws.render.endpoint_state import ASYNCHRONOUS, SERVERLESS, STANDING_BY, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired, EndpointObservation
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra_aws.render.endpoint_state import Variant

MOST_VARIANTS = 10
_POLL, _POLL_EMULATED = 10.0, 0.5  # seconds; SageMaker takes minutes
_STANDS_STILL = {"Failed", "OutOfService", "UpdateRollbackFailed"}


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
        if self.desired.absent:
            return self._towards_nothing()
        if self.observed is None or not self.standing.exists:
            return self._towards_something()
        phases = (
            self._quiet,
            self._alike,
            self._tagged,
            self._deployed,
            self._sized,
            self._scaled,
            self._routed,
            self._reduced,
            self._tidied,
        )
        return next((step for step in (phase() for phase in phases) if step is not None), Done())

    # the endpoint as a whole

    def _towards_nothing(self) -> Step:
        """Targets, the endpoint, and what was made for it, in this order."""
        if self.observed is None:
            return Done()
        if not self.standing.exists:
            return Send(self._deletions(self.standing.configs, self.standing.models, self.standing.alarms))
        if self.observed.state.busy:
            return self._wait()
        names = (each.name for each in self.standing.variants)
        body = {"EndpointName": self.desired.physical_name}
        deregistered = scaling.deregistrations(self.desired, names, self.standing)
        return Send((*deregistered, _act("delete", "DeleteEndpoint", body)))

    def _towards_something(self) -> Step:
        """Models and the configuration; when they show, the endpoint."""
        newcomers = [Newcomer(each, each.name, each.traffic) for each in self.desired.deployments]
        wanted = parts(self.desired, newcomers, (), self.environment)
        missing = self._missing(wanted)
        if missing:
            return Send(missing)
        body = {
            "EndpointName": self.desired.physical_name,
            "EndpointConfigName": wanted.config_name,
            "Tags": tag_list(self._tags()),
        }
        body = overridden("CreateEndpoint", body, self.desired.spec, self.environment)
        lookup = Lookup(_ask("look-up", "DescribeEndpoint", {"EndpointName": self.desired.physical_name}))
        return Send((_act("create", "CreateEndpoint", body, lookup),))

    def _quiet(self) -> Step | None:
        """SageMaker is done with the operation before, and the endpoint can take another."""
        status, observed = self.standing.status, self.observed
        if status in _STANDS_STILL:
            return Failed(
                f"the endpoint is {status}: {self.standing.reason or 'SageMaker gives no reason'}",
                todo=f"`mlinfra endpoint delete {self.desired.name}`, then deploy again",
            )
        if observed is not None and (observed.state.busy or observed.state is EndpointState.UNKNOWN):
            return self._wait()
        return None

    def _alike(self) -> Step | None:
        """The endpoint serves in the way that is wanted: SageMaker documents no change from one to another."""
        spec = self.desired.spec
        wanted = SERVERLESS if spec.serverless else ASYNCHRONOUS if spec.asynchronous else STANDING_BY
        if not self.standing.variants or wanted == self.standing.way:
            return None
        return Failed(
            f"the endpoint serves {self.standing.way}, and SageMaker does not change that to {wanted}",
            todo=f"`mlinfra endpoint delete {self.desired.name}`, then deploy again, or deploy under another name",
        )

    def _tagged(self) -> Step | None:
        """The endpoint's tags say whose it is and when it ends."""
        observed = self.observed
        if observed is None:
            return None
        there = observed.native["tags"]
        wanted = self._tags()
        body = {"ResourceArn": self.standing.arn}
        if EXPIRES_TAG in there and EXPIRES_TAG not in wanted:
            return Send((_act("untag", "DeleteTags", {**body, "TagKeys": [EXPIRES_TAG]}),))
        changed = {key: value for key, value in wanted.items() if there.get(key) != value}
        return Send((_act("tag", "AddTags", {**body, "Tags": tag_list(changed)}),)) if changed else None

    # variants

    def _deployed(self) -> Step | None:
        """Every deployment that is wanted has a variant."""
        missing = [each for each in self.desired.deployments if self.standing.variant(each.name) is None]
        if not missing:
            return None
        if self.desired.guard or self.desired.spec.replaced_whole:
            return self._replaced(missing)
        kept = self.standing.variants
        if len(kept) + len(missing) > MOST_VARIANTS:
            return Failed(
                f"SageMaker holds {MOST_VARIANTS} variants, and the change would need {len(kept) + len(missing)} "
                "for a while",
                todo="change fewer deployments at once",
            )
        newcomers = [Newcomer(each, self._free_name(each)) for each in missing]
        return self._updated(parts(self.desired, newcomers, kept, self.environment))

    def _replaced(self, missing: list[DeploymentDesired]) -> Step | None:
        """SageMaker itself puts the new deployment in the old one's place: the same variant, so that it may shift."""
        guard = self.desired.guard
        serving = [each for each in self.standing.variants if each.share]
        if len(serving) != 1 or len(missing) != 1 or len(self.desired.deployments) != 1:
            return Failed("SageMaker puts one deployment in the place of one other")
        if len(self.standing.variants) > 1:
            return self._reduced_to(serving)
        old = serving[0]
        wanted = parts(self.desired, [Newcomer(missing[0], old.name, old.share)], (), self.environment)
        if wanted.config["ProductionVariants"][0].get("InstanceType") != old.body.get("InstanceType"):
            before = scaling.deregistrations(self.desired, [old.name], self.standing)
            if before:  # UpdateEndpoint refuses to change the machines of a target
                return Send(before)
        if guard is None:
            return self._updated(wanted)
        watching = alarms.of_rules(self.desired, old.name, wanted.config_name, self.environment)
        names = (str(each["AlarmName"]) for each in watching)
        return self._updated(wanted, {"DeploymentConfig": deployment_config(guard, names)}, watching)

    def _sized(self) -> Step | None:
        """Every variant has as many instances as it should, or as many as it may where they are scaled.

        One call changes the capacity of one variant (documentation of UpdateEndpointWeightsAndCapacities).
        """
        if self.desired.spec.serverless is not None:
            return None
        scale, scales = self.desired.spec.scale, scaling.scales(self.desired)
        for each in self._wanted():
            variant = self._variant(each)
            count = min(scale.max, max(scale.min, variant.replicas)) if scales else each.replicas
            if variant.replicas != count:
                change: Document = {"VariantName": variant.name, "DesiredInstanceCount": count}
                return Send((self._weigh(f"resize-{variant.name}", [change]),))
        return None

    def _scaled(self) -> Step | None:
        """What is in service scales as the spec says."""
        if not scaling.scales(self.desired):
            gone = scaling.deregistrations(self.desired, self.standing.targets, self.standing)
            return Send(gone) if gone else None
        wanted = [self._variant(each) for each in self._wanted()]
        new = scaling.registrations(self.desired, wanted, self.standing, self.environment)
        return Send(new) if new else None

    def _routed(self) -> Step | None:
        """Weights are the wanted percents."""
        shares = {name: share for name, share in self.desired.traffic.items() if share}
        there = {each.deployment: each.share for each in self.standing.variants if each.share}
        if shares == there:
            return None
        changes = [
            {"VariantName": each.name, "DesiredWeight": shares.get(each.deployment, 0)}
            for each in self.standing.variants
        ]
        return Send((self._weigh("traffic", changes),))

    def _reduced(self) -> Step | None:
        """No variant is left that nobody wants."""
        wanted = [self._variant(each) for each in self._wanted()]
        return self._reduced_to(wanted) if len(wanted) < len(self.standing.variants) else None

    def _reduced_to(self, kept: list[Variant]) -> Step | None:
        surplus = [each.name for each in self.standing.variants if each not in kept]
        before = scaling.deregistrations(self.desired, surplus, self.standing)
        if before:
            return Send(before)
        return self._updated(parts(self.desired, (), kept, self.environment))

    def _tidied(self) -> Step | None:
        """Nothing is left that the endpoint does not use."""
        used = {str(each.body.get("ModelName")) for each in self.standing.variants}
        configs = [name for name in self.standing.configs if name != self.standing.config]
        models = [name for name in self.standing.models if name not in used]
        watching = [name for name in self.standing.alarms if not alarms.is_of(name, self.standing.config)]
        gone = self._deletions(configs, models, watching)
        return Send(gone) if gone else None

    # what the phases share

    def _updated(self, wanted: Parts, how: Document | None = None, watching: Iterable[Document] = ()) -> Step:
        """Move the endpoint to a configuration, watched by these alarms, unless that was tried and taken back."""
        missing = (*self._missing(wanted), *self._unwatched(watching))
        if missing:
            return Send(missing)
        if self.standing.tried(wanted.config_name):
            return Failed(f"SageMaker took the update back: {self.standing.reason}")
        body = {
            "EndpointName": self.desired.physical_name,
            "EndpointConfigName": wanted.config_name,
            "RetainAllVariantProperties": True,
            **(how or {}),
        }
        body = overridden("UpdateEndpoint", body, self.desired.spec, self.environment)
        return Send((_act("update", "UpdateEndpoint", body),))

    def _missing(self, wanted: Parts) -> tuple[Request, ...]:
        """What must be made before the endpoint can use it."""
        models = [body for body in wanted.models if body["ModelName"] not in self.standing.models]
        configs = [wanted.config] if wanted.config_name not in self.standing.configs else []
        return (
            *(_create("Model", body, {"ModelName": body["ModelName"]}) for body in models),
            *(_create("EndpointConfig", body, {"EndpointConfigName": body["EndpointConfigName"]}) for body in configs),
        )

    def _unwatched(self, watching: Iterable[Document]) -> Iterable[Request]:
        """What makes the alarms that are not there, or have another bound."""
        return (alarms.put(each) for each in watching if not alarms.stands(each, self.standing.alarms))

    def _deletions(self, configs: Iterable[str], models: Iterable[str], watching: Iterable[str]) -> tuple[Request, ...]:
        """Alarms, which watch configurations, and these, which name models, first."""
        return (
            *(alarms.delete(name) for name in sorted(watching)),
            *(_act(f"delete-{name}", "DeleteEndpointConfig", {"EndpointConfigName": name}) for name in sorted(configs)),
            *(_act(f"delete-{name}", "DeleteModel", {"ModelName": name}) for name in sorted(models)),
        )

    def _weigh(self, step: str, changes: list[Document]) -> Request:
        body = {"EndpointName": self.desired.physical_name, "DesiredWeightsAndCapacities": changes}
        return _act(step, "UpdateEndpointWeightsAndCapacities", body)

    def _tags(self) -> dict[str, str]:
        expires = self.desired.expires
        end = {EXPIRES_TAG: expires.isoformat(timespec="seconds")} if expires else {}
        return {**self.desired.tags, NAME_TAG: self.desired.name, **end}

    def _wanted(self) -> list[DeploymentDesired]:
        return [each for each in self.desired.deployments if self.standing.variant(each.name)]

    def _variant(self, deployment: DeploymentDesired) -> Variant:
        found = self.standing.variant(deployment.name)
        if found is None:
            raise KeyError(deployment.name)
        return found

    def _free_name(self, deployment: DeploymentDesired) -> str:
        """The deployment's own name, unless the platform's guard put another deployment under it."""
        taken = {each.name for each in self.standing.variants}
        names = (deployment.name, *(f"{deployment.name}-{number}" for number in range(2, MOST_VARIANTS + 2)))
        return next(name for name in names if name not in taken)

    def _wait(self) -> Wait:
        poll = _POLL_EMULATED if self.environment.emulated else _POLL
        return Wait(f"the endpoint, which is {self.standing.status}", poll)


def _create(kind: str, body: Document, name: Document) -> Request:
    lookup = Lookup(_ask("look-up", f"Describe{kind}", name))
    return _act(f"create-{next(iter(name.values()))}", f"Create{kind}", body, lookup)


def _ask(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=SAGEMAKER, operation=operation, body=body, effect=False, quota=READ)


def _act(step: str, operation: str, body: Document, lookup: Lookup | None = None) -> Request:
    return Request(
        step=step, service=SAGEMAKER, operation=operation, body=body, quota=WRITE, lookup=lookup, repeatable=True
    )
