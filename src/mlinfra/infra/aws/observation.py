"""What the environment tells: logs that end some day, a topic for notices, a dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi import Output
from pulumi_aws import cloudwatch, iam, sns

from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Input, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

_WRITE = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogGroups", "logs:DescribeLogStreams"]
# What CloudWatch Logs keeps: other numbers of days are refused.
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_TOLD_BY = ("cloudwatch", "budgets")
_WIDTH, _HEIGHT = 12, 6
_MINUTE = 60  # seconds; SageMaker tells its figures once a minute
_MINUTES = 2  # that an endpoint is unwell before it wakes somebody
# What, the metric and its highest average, in words too: an error is 1 and no error 0, latency is in microseconds.
_ALARMS = (
    ("errors", "Invocation5XXErrors", 0.01, "answers more than 1 request in 100 with 5xx"),
    ("latency", "ModelLatency", 1_000_000.0, "takes more than 1 s to answer, on average"),
)


class Logs(Component):
    """The log group of what the stack itself makes (flows, actions).

    Jobs and endpoints write to groups of SageMaker's own, which an account has once and no environment owns.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        key: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("aws:Logs", name, configuration, options)
        self._aws = configuration
        self.group = f"/mlinfra/{configuration.name}-{configuration.suffix}"
        made = cloudwatch.LogGroup(
            self.named("group"),
            name=self.group,
            retention_in_days=retention(self.profile.log_days),
            kms_key_id=key,
            tags=self.tags,
            opts=self.child(),
        )
        self.arn: Output[str] = made.arn
        self.finish(group=self.group)

    def writer(self, service: str) -> Output[str]:
        """The ARN of a role in whose name one of AWS's services writes here."""
        statement = {
            "Effect": "Allow",
            "Principal": names.service(service),
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceAccount": self._aws.account}},
        }
        role = iam.Role(
            self.named(service),
            name=names.role(self._aws, "logs"),
            path=self._aws.role_path,
            assume_role_policy=json.dumps(names.policy(statement)),
            permissions_boundary=self._aws.permission_boundary,
            tags=self.tags,
            opts=self.child(),
        )
        group = names.arn(self._aws, "logs", f"log-group:{self.group}:*")
        iam.RolePolicy(
            self.named(f"{service}-policy"),
            name="write-logs",
            role=role.name,
            policy=json.dumps(names.policy({"Effect": "Allow", "Action": _WRITE, "Resource": group})),
            opts=self.child(),
        )
        arn: Output[str] = role.arn
        return arn


class Notices(Component):
    """The topic that alarms and budgets tell, and who reads it; or one that exists."""

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        key: Input[str] | None = None,
        options: ResourceOptions | None = None,
    ) -> None:
        """Register it."""
        super().__init__("aws:Notices", name, configuration, options)
        if configuration.adopt.topic:
            self.topic: Output[str] = self.adopted(sns.Topic, "topic", configuration.adopt.topic).id
        else:
            made = sns.Topic(
                self.named("topic"),
                name=f"mlinfra-{configuration.name}-{configuration.suffix}",
                kms_master_key_id=key,
                tags=self.tags,
                opts=self.child(),
            )
            self.topic = made.arn
            sns.TopicPolicy(
                self.named("policy"),
                arn=made.arn,
                policy=made.arn.apply(lambda arn: json.dumps(_publishers(configuration, arn))),
                opts=self.child(),
            )
            for number, address in enumerate(configuration.notify):
                sns.TopicSubscription(
                    self.named(f"mail-{number + 1}"),
                    topic=made.arn,
                    protocol="email",
                    endpoint=address,
                    opts=self.child(),
                )
        self.finish(topic=self.topic)


class Alarms(Component):
    """Errors and slowness of an endpoint that the adapter deploys, whatever variants it has.

    SageMaker tells its figures by variant, whose names the adapter makes up anew with every version, and an alarm on a
    metric names one. A query of Metrics Insights takes all that the endpoint has together; it knows no percentile, and
    CloudWatch evaluates 200 such alarms in an account and region unless its quota is raised.
    """

    def __init__(
        self,
        name: str,
        configuration: AwsConfiguration,
        *,
        endpoint: str,
        topic: Input[str],
        options: ResourceOptions | None = None,
    ) -> None:
        """Register them. `endpoint` is its name in the kit."""
        super().__init__("aws:Alarms", name, configuration, options)
        physical = names.endpoint(configuration, endpoint)
        for own, metric, above, what in _ALARMS:
            cloudwatch.MetricAlarm(
                self.named(own),
                name=f"mlinfra-{physical}-{own}",
                alarm_description=f"endpoint {endpoint} {what}",
                metric_queries=[
                    {"id": own, "expression": _average(metric, physical), "period": _MINUTE, "return_data": True}
                ],
                comparison_operator="GreaterThanThreshold",
                threshold=above,
                evaluation_periods=_MINUTES,
                treat_missing_data="notBreaching",
                alarm_actions=[topic],
                tags={**self.tags, "mlinfra_name": endpoint},
                opts=self.child(),
            )
        self.finish(endpoint=physical)


class Dashboard(Component):
    """One page: requests, errors and latency of every endpoint of the environment.

    Jobs are not on it: SageMaker tells how one ended by an event, and CloudWatch draws metrics.
    """

    def __init__(self, name: str, configuration: AwsConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("aws:Dashboard", name, configuration, options)
        made = cloudwatch.Dashboard(
            self.named("page"),
            dashboard_name=f"mlinfra-{configuration.name}-{configuration.suffix}",
            dashboard_body=json.dumps({"widgets": _widgets(configuration)}),
            opts=self.child(),
        )
        region = configuration.region
        self.address = Output.concat(
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#dashboards:name=", made.id
        )
        self.finish(address=self.address)


def retention(days: int) -> int:
    """The number of days that CloudWatch Logs knows, not below the one asked for where there is one."""
    return next((each for each in _RETENTIONS if each >= days), _RETENTIONS[-1])


def _average(metric: str, endpoint: str) -> str:
    """SCHEMA leaves out the same figures told by configuration as well."""
    source = 'SCHEMA("AWS/SageMaker", EndpointName, VariantName)'
    return f"SELECT AVG({metric}) FROM {source} WHERE EndpointName = '{endpoint}'"  # noqa: S608  no user's text in it


def _publishers(configuration: AwsConfiguration, arn: str) -> names.Document:
    return names.policy(
        {
            "Sid": "Notices",
            "Effect": "Allow",
            "Principal": {"Service": [f"{each}.amazonaws.com" for each in _TOLD_BY]},
            "Action": "sns:Publish",
            "Resource": arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": configuration.account}},
        }
    )


def _widgets(configuration: AwsConfiguration) -> list[names.Document]:
    """A search finds what exists when the page is opened, so that the page need not know the endpoints.

    Within quotes a term is a whole name; without them it is a part of one, between hyphens or ends, which is what
    every endpoint of the environment has in common. The braces leave out the same figures told by configuration as
    well (CloudWatch's user guide, "Search expression syntax": tokenization, exact matches).
    """
    charts = (
        ("Requests", "Invocations", "Sum"),
        ("Errors of the model", "Invocation5XXErrors", "Sum"),
        ("Refused requests", "Invocation4XXErrors", "Sum"),
        ("Latency, 99 %", "ModelLatency", "p99"),
    )
    return [
        {
            "type": "metric",
            "x": _WIDTH * (number % 2),
            "y": _HEIGHT * (number // 2),
            "width": _WIDTH,
            "height": _HEIGHT,
            "properties": {
                "title": title,
                "region": configuration.region,
                "view": "timeSeries",
                "metrics": [
                    [
                        {
                            "expression": "SEARCH('{AWS/SageMaker,EndpointName,VariantName} "
                            f"MetricName=\"{metric}\" EndpointName={configuration.suffix}', '{statistic}', {_MINUTE})"
                        }
                    ]
                ],
            },
        }
        for number, (title, metric, statistic) in enumerate(charts)
    ]
