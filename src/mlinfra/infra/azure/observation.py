"""What the environment tells: logs and telemetry that end some day, who is told, a dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi import Output, ResourceOptions
from pulumi_azure_native import applicationinsights, monitor, operationalinsights

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input

    from mlinfra.infra.azure.configuration import AzureConfiguration

_SHORTEST, _LONGEST = 30, 730  # days that Log Analytics keeps
_SHORT_NAME = 12  # characters of an action group's short name
# Metric of an endpoint, how it is summed up, what is too much, in words of Azure Monitor.
_ALARMS: tuple[tuple[str, str, str, float], ...] = (
    ("errors", "RequestsPerMinute", "Average", 1.0),
    ("latency", "RequestLatency_P99", "Average", 1000.0),
)


class Logs(Component):
    """A Log Analytics workspace, or one that exists, and Application Insights over it."""

    def __init__(self, name: str, configuration: AzureConfiguration, options: ResourceOptions | None = None) -> None:
        """Register them."""
        super().__init__("azure:Logs", name, configuration, options)
        adopted = configuration.adopt.log_analytics
        if adopted:
            self.workspace: Output[str] = Output.from_input(adopted)
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
        """Tell when an endpoint answers errors or slowly."""
        for own, metric, aggregation, above in _ALARMS:
            failed = monitor.MetricDimensionArgs(name="statusCodeClass", operator="Include", values=["5xx"])
            criterion = monitor.MetricCriteriaArgs(
                criterion_type="StaticThresholdCriterion",
                name=own,
                metric_namespace="Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
                metric_name=metric,
                operator="GreaterThan",
                threshold=above,
                time_aggregation=aggregation,
                dimensions=[failed] if own == "errors" else None,
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
