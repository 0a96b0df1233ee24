"""A budget that tells before it is spent and, where the stage says so, ends what costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import budgets, iam

from mlinfra.catalog.aws.addresses import partition
from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

_TOLD_AT = 80.0  # per cent, spent
_STOP_AT = 100.0
# What starts something that costs; stopping and deleting stay allowed.
_STARTS = [
    "sagemaker:CreateTrainingJob",
    "sagemaker:CreateProcessingJob",
    "sagemaker:CreateTransformJob",
    "sagemaker:CreateEndpoint",
    "sagemaker:UpdateEndpoint",
    "sagemaker:UpdateEndpointWeightsAndCapacities",
]


class Budget(Component):
    """The environment's monthly budget, by its tag.

    It counts nothing until the account that pays has activated `mlinfra_environment` as a cost allocation tag, which
    Billing allows once the tag has appeared in its data, up to a day after the first resource: a first `up` that
    asked for it would fail (the provider's page on `costexplorer.CostAllocationTag`).

    `stops` are names of the roles that lose the right to start work once it is spent; the action can be reversed on
    the budget's page, and ends with the month.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        topic: Input[str],
        stops: list[Input[str]] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("aws:Budget", name, configuration, options)
        self._aws = configuration
        self.budget = budgets.Budget(
            self.named("budget"),
            name=f"mlinfra-{configuration.name}-{configuration.suffix}",
            budget_type="COST",
            limit_amount=str(configuration.monthly_budget),
            limit_unit="USD",
            time_unit="MONTHLY",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:mlinfra_environment${configuration.name}"]}],
            notifications=[
                _notification("ACTUAL", _TOLD_AT, topic),
                _notification("FORECASTED", _STOP_AT, topic),
            ],
            tags=self.tags,
            opts=self.child(),
        )
        if stops:
            self._stop(stops, topic)
        self.finish(budget=self.budget.name)

    def _stop(self, roles: list[Input[str]], topic: Input[str]) -> None:
        denial = iam.Policy(
            self.named("denial"),
            name=names.role(self._aws, "spent"),
            path=self._aws.role_path,
            description="The budget is spent: nothing new is started",
            policy=json.dumps(names.policy({"Effect": "Deny", "Action": _STARTS, "Resource": "*"})),
            tags=self.tags,
            opts=self.child(),
        )
        trust = {
            "Effect": "Allow",
            "Principal": names.service("budgets"),
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": self._aws.account}},
        }
        actor = iam.Role(
            self.named("actor"),
            name=names.role(self._aws, "budget"),
            path=self._aws.role_path,
            assume_role_policy=json.dumps(names.policy(trust)),
            permissions_boundary=self._aws.permission_boundary,
            tags=self.tags,
            opts=self.child(),
        )
        attach = denial.arn.apply(lambda arn: json.dumps(_attachment(self._aws, arn)))
        iam.RolePolicy(
            self.named("actor-policy"), name="attach-denial", role=actor.name, policy=attach, opts=self.child()
        )
        budgets.BudgetAction(
            self.named("stop"),
            budget_name=self.budget.name,
            action_type="APPLY_IAM_POLICY",
            approval_model="AUTOMATIC",
            notification_type="ACTUAL",
            action_threshold={"action_threshold_type": "PERCENTAGE", "action_threshold_value": _STOP_AT},
            execution_role_arn=actor.arn,
            definition={"iam_action_definition": {"policy_arn": denial.arn, "roles": roles}},
            subscribers=[{"address": topic, "subscription_type": "SNS"}],
            tags=self.tags,
            opts=self.child(),
        )


def _notification(kind: str, threshold: float, topic: Input[str]) -> dict[str, object]:
    return {
        "comparison_operator": "GREATER_THAN",
        "notification_type": kind,
        "threshold": threshold,
        "threshold_type": "PERCENTAGE",
        "subscriber_sns_topic_arns": [topic],
    }


def _attachment(configuration: AwsConfiguration, policy: str) -> names.Document:
    """The budget's role may attach this one denial to the environment's roles, and take it away again."""
    roles = f"arn:{partition(configuration.region)}:iam::{configuration.account}:role{configuration.role_path}*"
    return names.policy(
        {
            "Effect": "Allow",
            "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"],
            "Resource": roles,
            "Condition": {"ArnEquals": {"iam:PolicyARN": policy}},
        }
    )
