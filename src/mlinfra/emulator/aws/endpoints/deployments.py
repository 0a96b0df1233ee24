"""From a configuration to what will be deployed: models looked up, images resolved, properties retained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlinfra.emulator.aws.endpoints.capture import Capture
from mlinfra.emulator.aws.endpoints.containers import Container, container
from mlinfra.emulator.aws.endpoints.metrics import Meter
from mlinfra.emulator.aws.endpoints.plans import VariantPlan, plans, retained
from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation, Shadow, Variant
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.hosting.gateway import Gateway
from mlinfra.emulator.hosting.hosting import Hosting
from mlinfra.emulator.hosting.split import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.configs import EndpointConfig
    from mlinfra.emulator.aws.endpoints.containers import ServingImages

_LONGEST_REQUEST = 3600.0  # s, that of an asynchronous one; others are timed by the runtime
_LARGEST_BODY = 1 << 30  # bytes, as above


class Deployments:
    """Makes the records that procedures work on. Changes nothing that serves."""

    def __init__(self, emulator: AwsEmulator, serving: ServingImages) -> None:
        self._emulator = emulator
        self._serving = serving

    def endpoint(self, name: str, config: EndpointConfig) -> Endpoint:
        """A new endpoint, of which nothing runs yet."""
        now = self._emulator.clock.now()
        hosting = Hosting(
            self._emulator.host, f"{name}.{uuid4().hex[:8]}", timeout=_LONGEST_REQUEST, max_body=_LARGEST_BODY
        )
        return Endpoint(
            name=name,
            arn=self._emulator.arn("endpoint", name),
            created=now,
            modified=now,
            hosting=hosting,
            gateway=Gateway(hosting),
            meter=Meter(name, self._emulator.cloudwatch.put),
            config_name=config.name,
        )

    def generation(
        self, endpoint: Endpoint, config: EndpointConfig, retained: Mapping[str, Any] | None = None
    ) -> Generation:
        """What deploying a configuration would make. `retained` is the body of an UpdateEndpoint.

        Raises:
            Refusal: a model is gone, an image may not be pulled or is not emulated, all weights are 0.
        """
        endpoint.generations += 1
        production = [_kept(plan, endpoint, retained or {}) for plan in plans(config.body)]
        if not any(plan.weight for plan in production):
            raise refusals.validation("At least one production variant must have a weight greater than 0.")
        made = Generation(
            config_name=config.name,
            config=config.body,
            number=endpoint.generations,
            since=self._emulator.clock.now(),
            variants={plan.name: self._variant(plan, config, endpoint) for plan in production},
            shadows={
                plan.name: self._variant(plan, config, endpoint)
                for plan in plans(config.body, "ShadowProductionVariants")
            },
        )
        _pair(made)
        self._capture(endpoint.name, made)
        return made

    def wish(
        self,
        endpoint: Endpoint,
        wishes: Sequence[Mapping[str, Any]],
        check_quota: Callable[[Sequence[VariantPlan]], None],
    ) -> tuple[dict[str, float], dict[str, int]]:
        """Write wishes for weights and numbers of instances into the variants' plans.

        Returns weights and counts as they were.

        Raises:
            Refusal: there is no such variant, no instances for it, or no weight would be left.
        """
        variants = endpoint.serving.variants if endpoint.serving else {}
        planned = {each["VariantName"]: _wished(variants, each, endpoint) for each in wishes}
        after = {name: planned.get(name, variant.plan) for name, variant in variants.items()}
        if not any(plan.weight for plan in after.values()):
            raise refusals.validation("At least one production variant must have a weight greater than 0.")
        check_quota([plan.resized(max(0, plan.count - variants[name].plan.count)) for name, plan in planned.items()])
        before = {name: variants[name].plan for name in planned}
        for name, plan in planned.items():
            variants[name].plan = plan
        return (
            {name: plan.weight for name, plan in before.items()},
            {name: plan.count for name, plan in before.items() if plan.count != planned[name].count},
        )

    def _variant(self, plan: VariantPlan, config: EndpointConfig, endpoint: Endpoint) -> Variant:
        container, now = self._container(plan.model), self._emulator.clock.now()
        return Variant(plan, container, config.name, endpoint.generations, now)

    def _capture(self, endpoint: str, generation: Generation) -> None:
        """One capture for all variants of a configuration, written in the first one's role's name."""
        config = generation.config.get("DataCaptureConfig")
        if not config or not config.get("EnableCapture", True):
            return
        role = next(iter(generation.variants.values())).container.role
        capture = Capture(endpoint, config, lambda uri, data: self._emulator.storage.write(uri, data, role))
        for variant in generation.variants.values():
            variant.capture = capture

    def _container(self, model_name: str) -> Container:
        model = self._emulator.models.get(model_name)
        definitions = self._emulator.models.containers(model_name)
        if len(definitions) != 1:
            raise refusals.not_emulated("An inference pipeline of several containers")
        own = self._environment(model)
        return container(model, definitions[0], self._emulator.registry, self._serving, own)

    def _environment(self, model: Mapping[str, Any]) -> dict[str, str]:
        """What the service puts into a container's environment. The role's keys are in it, and not at an address."""
        region = {"AWS_REGION": self._emulator.region, "AWS_DEFAULT_REGION": self._emulator.region}
        if model.get("EnableNetworkIsolation"):
            return region
        keys = self._emulator.principals.credentials(model["ExecutionRoleArn"], "SageMaker")
        return {
            **region,
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_SESSION_TOKEN": keys.session_token,
            "AWS_ENDPOINT_URL": self._emulator.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def _pair(generation: Generation) -> None:
    """Have the production variant's requests copied to the shadow, in the proportion of the weights."""
    for shadow in generation.shadows.values():
        for variant in generation.variants.values():
            share = min(1.0, shadow.plan.weight / variant.plan.weight) if variant.plan.weight else 0.0
            variant.shadow = Shadow(shadow, sample(100 * share))


def _kept(plan: VariantPlan, endpoint: Endpoint, body: Mapping[str, Any]) -> VariantPlan:
    """The plan with what the update keeps of the variant that serves."""
    if not body.get("RetainAllVariantProperties") or endpoint.serving is None:
        return plan
    present = {name: (each.plan.weight, each.plan.count) for name, each in endpoint.serving.variants.items()}
    excluded = [each["VariantPropertyType"] for each in body.get("ExcludeRetainedVariantProperties", ())]
    return retained(plan, present, excluded)


def _wished(variants: Mapping[str, Variant], wish: Mapping[str, Any], endpoint: Endpoint) -> VariantPlan:
    name = wish["VariantName"]
    if name not in variants:
        raise refusals.validation(f'Could not find variant "{name}" of endpoint "{endpoint.arn}".')
    plan = variants[name].plan
    if "DesiredWeight" in wish:
        plan = replace(plan, weight=wish["DesiredWeight"])
    if "DesiredInstanceCount" in wish:
        plan = _counted(plan, wish["DesiredInstanceCount"], endpoint)
    if "ServerlessUpdateConfig" in wish:
        if plan.serverless is None:
            raise refusals.validation(f"Production variant {name} is not serverless.")
        plan = replace(plan, serverless={**plan.serverless, **wish["ServerlessUpdateConfig"]})
    return plan


def _counted(plan: VariantPlan, count: int, endpoint: Endpoint) -> VariantPlan:
    if plan.serverless is not None:
        raise refusals.validation(f"DesiredInstanceCount does not apply to the serverless variant {plan.name}.")
    asynchronous = endpoint.serving is not None and "AsyncInferenceConfig" in endpoint.serving.config
    if not count and not asynchronous:
        raise refusals.validation(
            f"DesiredInstanceCount of variant {plan.name} must be at least 1 unless the endpoint is asynchronous."
        )
    return plan.resized(count)
