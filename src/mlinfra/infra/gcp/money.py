"""A budget that tells before it is spent. Google Cloud knows no action at its end but a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_gcp import billing

from mlinfra.infra.component import Component
from mlinfra.infra.gcp import names

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.gcp.configuration import GcpConfiguration

_TOLD_AT = 0.8  # spent
_FORECAST_AT = 1.0


class Budget(Component):
    """The environment's monthly budget, by its label."""

    def __init__(
        self,
        name: str,
        configuration: GcpConfiguration,
        *,
        account: str,
        channels: list[Input[str]],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it. `account` is the billing account that pays."""
        super().__init__("gcp:Budget", name, configuration, options)
        amount = {"currency_code": configuration.currency, "units": str(configuration.monthly_budget)}
        billing.Budget(
            self.named("budget"),
            billing_account=account,
            display_name=names.own(configuration),
            amount={"specified_amount": amount},
            budget_filter={
                "projects": [f"projects/{configuration.account}"],
                "labels": {"mlinfra_environment": configuration.suffix},
                "calendar_period": "MONTH",
            },
            threshold_rules=[
                {"threshold_percent": _TOLD_AT, "spend_basis": "CURRENT_SPEND"},
                {"threshold_percent": _FORECAST_AT, "spend_basis": "FORECASTED_SPEND"},
            ],
            all_updates_rule={"monitoring_notification_channels": channels} if channels else None,
            opts=self.child(),
        )
        self.finish(amount=configuration.monthly_budget)
