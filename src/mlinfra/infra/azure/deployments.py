"""Endpoints that the stack owns whole: shell, deployment, traffic, scaling and alarms, for those who want that.

An endpoint's traffic names deployments that stand, so that no shell can be made with it (Azure ML's REST reference of
online endpoints), and a program names each resource once. What comes after the deployment is therefore said the way
that Azure's templates say it: by a template that writes the endpoint again, run when the deployment takes requests.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_azure_native import machinelearningservices as ml
from pulumi_azure_native import monitor, resources

from mlinfra.infra.azure import names
from mlinfra.infra.azure.endpoints import entry
from mlinfra.infra.component import Component, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration
    from mlinfra.infra.azure.configuration import Endpoint as Wanted
    from mlinfra.infra.azure.observation import Alarms

_ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
_VERSION = "2025-12-01"  # of the interface, as in the package's own calls
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_PORT = 8080
_ROUTES = {"scoring_route": "/score", "liveness_route": "/v2/health/live", "readiness_route": "/v2/health/ready"}
_ANSWER_SECONDS = 60  # as on the other platforms; Azure's own default is 5
_AT_ONCE = 500  # requests; the server refuses by itself what is too much
_PERIOD, _READY_SECONDS = 10, 600  # between probes; a container that does not answer by then never will
_DIGITS = 8
_WHOLE = 100  # per cent
_HALF = 0.5  # of an instance's load: the one that is left of two must not be overloaded by losing the other


class Deployment(Component):
    """One deployment behind an endpoint that stands, with its image and its scaling. It has no traffic by itself.

    What runs gives it its name, so that another image, model, machine or variable is another deployment, which is made
    and ready before the old one goes. The number of instances changes in place.
    """

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        wanted: Wanted,
        *,
        endpoint: ml.OnlineEndpoint,
        physical: str,
        image: ml.EnvironmentVersion,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it. `physical` is the endpoint's name, with which the deployment goes."""
        super().__init__("azure:Deployment", name, configuration, options)
        self._azure = configuration
        self._wanted = wanted
        self._physical = physical
        self._endpoint = f"{names.workspace_id(configuration)}/onlineEndpoints/{physical}"
        self.own = f"main-{_digest(wanted.image, wanted.model, wanted.machine, wanted.env)}"
        self._least = wanted.scale.least(self.profile)
        scales = wanted.scale.max > self._least
        ignored = ["sku"] if scales else []  # the rules' own
        self.deployment = ml.OnlineDeployment(
            self.named("deployment"),
            deployment_name=self.own,
            endpoint_name=physical,
            workspace_name=configuration.workspace,
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            sku=ml.SkuArgs(name="Default", capacity=self._least),
            properties=self._properties(image),
            tags=self.tags,
            opts=self.child(
                ResourceOptions(
                    depends_on=[endpoint], deleted_with=endpoint, ignore_changes=ignored, delete_before_replace=False
                )
            ),
        )
        if scales:
            self._scaling()
        self.finish(deployment=self.own)

    def _properties(self, image: ml.EnvironmentVersion) -> ml.ManagedOnlineDeploymentArgs:
        model, _, version = self._wanted.model.partition(":")
        probe = ml.ProbeSettingsArgs(
            initial_delay=f"PT{_PERIOD}S", period=f"PT{_PERIOD}S", failure_threshold=_READY_SECONDS // _PERIOD
        )
        return ml.ManagedOnlineDeploymentArgs(
            endpoint_compute_type="Managed",
            model=f"{names.workspace_id(self._azure)}/models/{names.model(self._azure, model)}/versions/{version}",
            environment_id=image.id,
            environment_variables=self._wanted.env,
            instance_type=self._wanted.machine,
            scale_settings=ml.DefaultScaleSettingsArgs(scale_type="Default"),
            request_settings=ml.OnlineRequestSettingsArgs(
                request_timeout=f"PT{_ANSWER_SECONDS}S", max_concurrent_requests_per_instance=_AT_ONCE
            ),
            liveness_probe=probe,
            readiness_probe=probe,
            egress_public_network_access="Disabled" if self._azure.isolated else "Enabled",
        )

    def _scaling(self) -> None:
        scale = self._wanted.scale
        monitor.AutoscaleSetting(
            self.named("scaling"),
            autoscale_setting_name=f"{self._physical}-main",
            resource_group_name=self._azure.resource_group,
            location=self._azure.region,
            enabled=True,
            target_resource_uri=self.deployment.id,
            target_resource_location=self._azure.region,
            profiles=[
                monitor.AutoscaleProfileArgs(
                    name="instances",
                    capacity=monitor.ScaleCapacityArgs(
                        minimum=str(self._least), maximum=str(scale.max), default=str(self._least)
                    ),
                    rules=[
                        self._rule("Increase", "GreaterThan", float(scale.requests_per_minute)),
                        self._rule("Decrease", "LessThan", scale.requests_per_minute * _HALF),
                    ],
                )
            ],
            tags=self.tags,
            opts=self.child(),
        )

    def _rule(self, direction: str, operator: str, threshold: float) -> monitor.ScaleRuleArgs:
        """Requests that were answered, a minute and instance: the average over all statuses would tell less."""
        chosen = {"deployment": self.own, "statusCodeClass": "2xx"}
        return monitor.ScaleRuleArgs(
            metric_trigger=monitor.MetricTriggerArgs(
                metric_name="RequestsPerMinute",
                metric_resource_uri=self._endpoint,
                dimensions=[
                    monitor.ScaleRuleMetricDimensionArgs(dimension_name=name, operator="Equals", values=[value])
                    for name, value in chosen.items()
                ],
                divide_per_instance=True,
                time_grain="PT1M",
                statistic=monitor.MetricStatisticType.AVERAGE,
                time_window="PT5M",
                time_aggregation=monitor.TimeAggregationType.AVERAGE,
                operator=operator,
                threshold=threshold,
            ),
            scale_action=monitor.ScaleActionArgs(
                direction=monitor.ScaleDirection(direction), type="ChangeCount", value="1", cooldown="PT5M"
            ),
        )


class Endpoint(Component):
    """One endpoint, replaced without a gap: the new deployment stands, all traffic goes over, then the old one goes.

    Everything goes with the endpoint itself, as a deployment that has traffic cannot be deleted. The shell is made
    once; the template writes what of it changes. Traffic that somebody moves by hand is not noticed as drift, since a
    template tells what was written and not what is there.
    """

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        wanted: Wanted,
        *,
        endpoint: str,
        identity: Input[str],
        alarms: Alarms | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it. `endpoint` is its name in the kit, `identity` the one that servers run as.

        `options` should depend on the identity's rights: a server that may not read its image or model never starts.
        """
        super().__init__("azure:Endpoint", name, configuration, options)
        self._azure = configuration
        self._identity = identity
        self._tags = {**self.tags, "mlinfra_name": endpoint, "mlinfra_owner": "stack"}
        self.physical = names.endpoint(configuration, endpoint)
        image = self._image(wanted)
        self.shell = ml.OnlineEndpoint(
            self.named("endpoint"),
            endpoint_name=self.physical,
            workspace_name=configuration.workspace,
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            kind="Managed",
            identity=ml.ManagedServiceIdentityArgs(type="UserAssigned", user_assigned_identities=[identity]),
            properties=entry(configuration),
            tags=self._tags,
            opts=self.child(ResourceOptions(ignore_changes=["properties", "tags"], depends_on=[image])),
        )
        self.deployment = Deployment(
            self.named("main"),
            configuration,
            wanted,
            endpoint=self.shell,
            physical=self.physical,
            image=image,
            options=self.child(),
        )
        self._traffic({self.deployment.own: _WHOLE})
        if alarms is not None:
            alarms.watch(endpoint, self.shell.id)
        self.finish(name=self.physical)

    def _image(self, wanted: Wanted) -> ml.EnvironmentVersion:
        """The image with its routes, which Azure ML calls an environment."""
        routes = {kind: ml.RouteArgs(path=path, port=_PORT) for kind, path in _ROUTES.items()}
        return ml.EnvironmentVersion(
            self.named("image"),
            name=self.physical,
            version=_digest(wanted.image, _ROUTES),
            workspace_name=self._azure.workspace,
            resource_group_name=self._azure.resource_group,
            properties=ml.EnvironmentVersionPropertiesArgs(
                image=wanted.image,
                os_type=ml.OperatingSystemType.LINUX,
                inference_config=ml.InferenceContainerPropertiesArgs(**routes),
            ),
            opts=self.child(ResourceOptions(delete_before_replace=False)),
        )

    def _traffic(self, shares: Mapping[str, int]) -> None:
        """Write the endpoint again, with its traffic. Its record goes with the stack, which changes nothing."""
        way_in = entry(self._azure)
        document = text(self._identity).apply(
            lambda identity: _literal(
                {
                    "type": _ENDPOINTS,
                    "apiVersion": _VERSION,
                    "name": f"{self._azure.workspace}/{self.physical}",
                    "location": self._azure.region,
                    "kind": "Managed",
                    "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}},
                    "properties": {
                        "authMode": way_in.auth_mode,
                        "publicNetworkAccess": way_in.public_network_access,
                        "traffic": dict(shares),
                    },
                    "tags": self._tags,
                }
            )
        )
        resources.Deployment(
            self.named("traffic"),
            deployment_name=f"{self.physical}-traffic",
            resource_group_name=self._azure.resource_group,
            properties=resources.DeploymentPropertiesArgs(
                mode=resources.DeploymentMode.INCREMENTAL,
                template={"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "resources": Output.all(document)},
            ),
            tags=self.tags,
            opts=self.child(ResourceOptions(depends_on=[self.deployment.deployment])),
        )


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def _literal(value: Any) -> Any:
    """A value as a template takes it word for word: a text within brackets would be an expression of its language."""
    if isinstance(value, dict):
        return {name: _literal(item) for name, item in value.items()}
    return f"[{value}" if isinstance(value, str) and value.startswith("[") and value.endswith("]") else value
