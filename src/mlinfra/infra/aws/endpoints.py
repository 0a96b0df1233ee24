"""Endpoints that the stack owns whole: model, configuration, endpoint, scaling and alarms, for those who want that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_aws import appautoscaling, cloudwatch, sagemaker

from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulumi import Input

    from mlinfra.infra.aws.configuration import AwsConfiguration
    from mlinfra.infra.aws.configuration import Endpoint as Wanted

_VARIANT = "main"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_READY_SECONDS = 600  # a container that does not answer by then never will
_QUIET_SECONDS = 300  # before instances are taken away again
_BAKE_SECONDS = 300
_SLOW = 1_000_000.0  # µs: ModelLatency is told in microseconds
# Metric, statistic, threshold: what wakes somebody.
_ALARMS = (("Invocation5XXErrors", "Sum", 5.0), ("ModelLatency", "p99", _SLOW))


class Endpoint(Component):
    """One endpoint, replaced without a gap.

    A change of image, model or machine makes a new configuration, and SageMaker shifts the traffic: at first to a
    tenth of the new instances, back again where an alarm speaks.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        wanted: Wanted,
        *,
        endpoint: str,
        role: Input[str],
        subnets: Sequence[Input[str]] = (),
        security_groups: Sequence[Input[str]] = (),
        key: Input[str] | None = None,
        topic: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it. `endpoint` is its name in the kit."""
        super().__init__("aws:Endpoint", name, configuration, options)
        self._aws = configuration
        self._wanted = wanted
        self._least = wanted.scale.least(self.profile)
        self.physical = names.endpoint(configuration, endpoint)
        tags = {**self.tags, "mlinfra_name": endpoint, "mlinfra_owner": "stack"}
        model = self._model(role, subnets, security_groups, tags)
        config = self._configuration(model, key, tags)
        alarms = self._alarms(topic, tags) if topic is not None else []
        self.endpoint = sagemaker.Endpoint(
            self.named("endpoint"),
            name=self.physical,
            endpoint_config_name=config.name,
            deployment_config=_deployment(alarms) if alarms else None,
            tags=tags,
            opts=self.child(),
        )
        if wanted.scale.max > self._least:
            self._scaling()
        self.finish(name=self.endpoint.name, arn=self.endpoint.arn)

    def _model(
        self,
        role: Input[str],
        subnets: Sequence[Input[str]],
        security_groups: Sequence[Input[str]],
        tags: dict[str, str],
    ) -> sagemaker.Model:
        return sagemaker.Model(
            self.named("model"),
            execution_role_arn=role,
            enable_network_isolation=self._aws.isolated,
            primary_container={
                "image": self._wanted.image,
                "environment": self._wanted.env,
                "model_data_source": {"s3_data_sources": [_files(self._wanted.model)]},
            },
            vpc_config={"subnets": subnets, "security_group_ids": security_groups} if subnets else None,
            tags=tags,
            opts=self.child(),
        )

    def _configuration(
        self, model: sagemaker.Model, key: Input[str] | None, tags: dict[str, str]
    ) -> sagemaker.EndpointConfiguration:
        """Its name is the engine's, so that the new one is made before the old one goes."""
        return sagemaker.EndpointConfiguration(
            self.named("configuration"),
            kms_key_arn=key,
            production_variants=[
                {
                    "variant_name": _VARIANT,
                    "model_name": model.name,
                    "instance_type": self._wanted.machine,
                    "initial_instance_count": self._least,
                    "container_startup_health_check_timeout_in_seconds": _READY_SECONDS,
                }
            ],
            tags=tags,
            opts=self.child(),
        )

    def _alarms(self, topic: Input[str], tags: dict[str, str]) -> list[Output[str]]:
        return [
            cloudwatch.MetricAlarm(
                self.named(metric.lower()),
                name=f"mlinfra-{self.physical}-{metric}",
                namespace="AWS/SageMaker",
                metric_name=metric,
                dimensions={"EndpointName": self.physical, "VariantName": _VARIANT},
                comparison_operator="GreaterThanThreshold",
                threshold=threshold,
                period=60,
                evaluation_periods=2,
                treat_missing_data="notBreaching",
                alarm_actions=[topic],
                tags=tags,
                opts=self.child(),
                **_statistic(statistic),
            ).name
            for metric, statistic, threshold in _ALARMS
        ]

    def _scaling(self) -> None:
        target = appautoscaling.Target(
            self.named("target"),
            service_namespace="sagemaker",
            scalable_dimension=_DIMENSION,
            resource_id=Output.concat("endpoint/", self.endpoint.name, f"/variant/{_VARIANT}"),
            min_capacity=self._least,
            max_capacity=self._wanted.scale.max,
            tags=self.tags,
            opts=self.child(ResourceOptions(depends_on=[self.endpoint])),
        )
        appautoscaling.Policy(
            self.named("scaling"),
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            policy_type="TargetTrackingScaling",
            target_tracking_scaling_policy_configuration={
                "target_value": float(self._wanted.scale.requests_per_minute),
                "scale_in_cooldown": _QUIET_SECONDS,
                "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
            },
            opts=self.child(),
        )


def _files(uri: str) -> dict[str, str]:
    compressed = uri.endswith(".tar.gz")
    return {
        "s3_uri": uri,
        "s3_data_type": "S3Object" if compressed else "S3Prefix",
        "compression_type": "Gzip" if compressed else "None",
    }


def _statistic(name: str) -> dict[str, str]:
    """Percentiles have a parameter of their own."""
    return {"extended_statistic": name} if name.startswith("p") else {"statistic": name}


def _deployment(alarms: list[Output[str]]) -> dict[str, Any]:
    """A tenth first; the rest when no alarm has spoken."""
    return {
        "blue_green_update_policy": {
            "traffic_routing_configuration": {
                "type": "CANARY",
                "wait_interval_in_seconds": _BAKE_SECONDS,
                "canary_size": {"type": "CAPACITY_PERCENT", "value": 10},
            },
            "termination_wait_in_seconds": _BAKE_SECONDS,
        },
        "auto_rollback_configuration": {"alarms": [{"alarm_name": alarm} for alarm in alarms]},
    }
