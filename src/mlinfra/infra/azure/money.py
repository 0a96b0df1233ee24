"""A budget that tells before it is spent. Azure's budgets send messages; what they end is another's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_azure_native import consumption

from mlinfra.infra.azure import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.azure.configuration import AzureConfiguration

_TOLD_AT, _FORECAST_AT = 80.0, 100.0  # per cent


class Budget(Component):
    """The environment's monthly budget: all that its resource group costs."""

    def __init__(
        self,
        name: str,
        configuration: AzureConfiguration,
        *,
        group: Input[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it. `group` is the action group that is told."""
        super().__init__("azure:Budget", name, configuration, options)
        self._azure = configuration
        consumption.Budget(
            self.named("budget"),
            budget_name=names.own(configuration),
            scope=names.group_id(configuration),
            amount=configuration.monthly_budget,
            category=consumption.CategoryType.COST,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{configuration.budget_start}T00:00:00Z"),
            notifications={
                "spent": self._notification("Actual", _TOLD_AT, group),
                "forecast": self._notification("Forecasted", _FORECAST_AT, group),
            },
            opts=self.child(),
        )
        self.finish(amount=configuration.monthly_budget)

    def _notification(self, kind: str, threshold: float, group: Input[str]) -> consumption.NotificationArgs:
        return consumption.NotificationArgs(
            enabled=True,
            operator=consumption.OperatorType.GREATER_THAN,
            threshold=threshold,
            threshold_type=kind,
            contact_emails=list(self._azure.notify),
            contact_groups=[group],
        )
