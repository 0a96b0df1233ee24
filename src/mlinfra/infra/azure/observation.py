"""What the environment tells: logs and telemetry that end some day, who is told, a dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pulumi import Output, ResourceOptions
from pulumi_azure_native import applicationinsights, monitor, operationalinsights

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration

_SHORTEST, _LONGEST = 30, 730  # days that Log Analytics keeps
_SHORT_NAME = 12  # characters of an action group's short name
_SERVER_ERRORS = ("500", "501", "502", "503", "504")


class _Alarm(NamedTuple):
    """A metric of an endpoint in words of Azure Monitor, its average over the window that is too much, and of what."""

    metric: str
    above: float
    dimension: str = ""
    values: tuple[str, ...] = ()


# What a model answers besides 200 reaches callers as 424, of the class 4xx; its own status is a dimension by itself.
# Source: Azure Monitor's metrics of workspaces/onlineEndpoints; Azure ML's guide "Troubleshooting online endpoints".
_ALARMS = {
    "errors": _Alarm("RequestsPerMinute", 1.0, "modelStatusCode", _SERVER_ERRORS),
    "failures": _Alarm("RequestsPerMinute", 1.0, "statusCode", ("408", *_SERVER_ERRORS)),  # no answer; no model
    "latency": _Alarm("RequestLatency_P99", 1000.0),  # ms
}


class Logs(Component):
    """A Log Analytics workspace, or one that exists, and Application Insights over it."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("azure:Logs", name, configuration, options)
        adopted = configuration.adopt.log_analytics
        if adopted:
            self.workspace: Output[str] = self.adopted(operationalinsights.Workspace, "workspace", adopted).id
        else:
            made = operationalinsights.Workspace(
                self.named("workspace"),
                workspace_name=names.own(configuration),
                resource_group_name=configuration.resource_group,
                location=configuration.region,
                sku=operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
                retention_in_days=min(max(self.profile.log_days, _SHORTEST), _LONGEST),
                features=operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
                tags=self.tags,
                opts=self.child(),
            )
            self.workspace = made.id
        insights = applicationinsights.Component(
            self.named("insights"),
            resource_name_=names.own(configuration),
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            kind="web",
            application_type="web",
            ingestion_mode="LogAnalytics",
            workspace_resource_id=self.workspace,
            disable_local_auth=True,
            tags=self.tags,
            opts=self.child(),
        )
        self.insights: Output[str] = insights.id
        self.finish(workspace=self.workspace, insights=self.insights)

    def audit(self, own: str, resource: Input[str], categories: tuple[str, ...]) -> None:
        """Keep who reads and writes a resource."""
        monitor.DiagnosticSetting(
            self.named(f"{own}-audit"),
            name="mlinfra",
            resource_uri=resource,
            workspace_id=self.workspace,
            logs=[monitor.DiagnosticsLogSettingsArgs(category=category, enabled=True) for category in categories],
            opts=self.child(),
        )


class Alarms(Component):
    """The group that alarms and budgets tell."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("azure:Alarms", name, configuration, options)
        self._azure = configuration
        group = monitor.ActionGroup(
            self.named("group"),
            action_group_name=names.own(configuration),
            resource_group_name=configuration.resource_group,
            location="Global",
            enabled=True,
            group_short_name=f"ml{configuration.suffix}"[:_SHORT_NAME],
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name=f"mail-{number + 1}", email_address=address, use_common_alert_schema=True
                )
                for number, address in enumerate(configuration.notify)
            ],
            tags=self.tags,
            opts=self.child(),
        )
        self.group: Output[str] = group.id
        self.finish(group=self.group)

    def watch(self, endpoint: str, resource: Input[str], options: ResourceOptions | None = None) -> None:
        """Tell when an endpoint's model answers errors, when none answers, and when answers are slow."""
        for own, alarm in _ALARMS.items():
            chosen = monitor.MetricDimensionArgs(name=alarm.dimension, operator="Include", values=list(alarm.values))
            criterion = monitor.MetricCriteriaArgs(
                criterion_type="StaticThresholdCriterion",
                name=own,
                metric_namespace="Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
                metric_name=alarm.metric,
                operator="GreaterThan",
                threshold=alarm.above,
                time_aggregation="Average",
                dimensions=[chosen] if alarm.dimension else None,
            )
            monitor.MetricAlert(
                self.named(f"{endpoint}-{own}"),
                rule_name=names.own(self._azure, f"{endpoint}-{own}"),
                resource_group_name=self._azure.resource_group,
                location="global",
                description=f"{own} of endpoint {endpoint}",
                enabled=True,
                severity=2,
                scopes=[resource],
                evaluation_frequency="PT1M",
                window_size="PT5M",
                criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                    odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[criterion]
                ),
                actions=[monitor.MetricAlertActionArgs(action_group_id=self.group)],
                tags=self.tags,
                opts=self.child(options),
            )


class Dashboard(Component):
    """One page, a workbook: requests and latency of every endpoint of the workspace."""

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        workspace: Input[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("azure:Dashboard", name, configuration, options)
        made = applicationinsights.Workbook(
            self.named("page"),
            resource_name_=names.assignment(configuration, "workbook"),
            resource_group_name=configuration.resource_group,
            location=configuration.region,
            kind=applicationinsights.WorkbookSharedTypeKind.SHARED,
            category="workbook",
            display_name=f"mlinfra {configuration.name}",
            serialized_data=Output.json_dumps(_page(configuration, workspace)),
            source_id="azure monitor",
            tags=self.tags,
            opts=self.child(),
        )
        self.address = Output.concat(
            "https://portal.azure.com/#@", configuration.tenant, "/resource", made.id, "/workbook"
        )
        self.finish(address=self.address)


def _page(configuration: AzureConfiguration, workspace: Input[str]) -> dict[str, Any]:
    charts = [
        {
            "type": 10,  # a chart of metrics
            "content": {
                "version": "MetricsItem/2.0",
                "resourceType": "microsoft.machinelearningservices/workspaces",
                "resourceIds": [workspace],
                "metrics": [
                    {
                        "namespace": "microsoft.machinelearningservices/workspaces/onlineendpoints",
                        "metric": f"microsoft.machinelearningservices/workspaces/onlineendpoints--{metric}",
                        "aggregation": 4,  # the average
                    }
                ],
                "title": title,
            },
            "name": metric,
        }
        for title, metric in (("Requests a minute", "RequestsPerMinute"), ("Latency, 99 %", "RequestLatency_P99"))
    ]
    return {"version": "Notebook/1.0", "items": charts, "fallbackResourceIds": [names.group_id(configuration)]}
