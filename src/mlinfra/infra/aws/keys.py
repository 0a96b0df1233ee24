"""The key that encrypts an environment's stores, logs, images and secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulumi_aws import kms

from mlinfra.catalog.aws.addresses import partition
from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import Output, ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration

_ALL = "*"
_USE = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
_MANAGE = [
    *("kms:Create*", "kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Update*", "kms:Revoke*"),
    *("kms:Disable*", "kms:Get*", "kms:Delete*", "kms:TagResource", "kms:UntagResource"),
    *("kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"),
]
_CHARGED = ("sns", "cloudwatch", "budgets")  # services that publish into an encrypted topic


class Key(Component):
    """One symmetric key that rotates every year, with an alias; or one that exists.

    The account's own policies say who may use it, as with every other resource: the key's policy hands the decision
    over to them, and adds the services that act in nobody's name.
    """

    def __init__(self, name: str, configuration: AwsConfiguration, options: ResourceOptions | None = None) -> None:
        """Register it."""
        super().__init__("aws:Key", name, configuration, options)
        if configuration.adopt.key:
            self.arn: Output[str] = self.adopted(kms.Key, "key", configuration.adopt.key).id
        else:
            key = kms.Key(
                self.named("key"),
                description=f"mlinfra: {configuration.name}",
                enable_key_rotation=True,
                deletion_window_in_days=self.profile.key_deletion_days,
                policy=json.dumps(_policy(configuration)),
                tags=self.tags,
                opts=self.guarded(),
            )
            kms.Alias(
                self.named("alias"),
                name=f"alias/mlinfra-{configuration.name}-{configuration.suffix}",
                target_key_id=key.key_id,
                opts=self.child(),
            )
            self.arn = key.arn
        self.finish(arn=self.arn)


def _policy(configuration: AwsConfiguration) -> names.Document:
    root = f"arn:{partition(configuration.region)}:iam::{configuration.account}:root"
    statements = [
        {
            "Sid": "TheAccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": root},
            "Action": "kms:*",
            "Resource": _ALL,
        },
        {
            "Sid": "Logs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{configuration.region}.amazonaws.com"},
            "Action": _USE,
            "Resource": _ALL,
            "Condition": {
                "ArnLike": {"kms:EncryptionContext:aws:logs:arn": names.arn(configuration, "logs", "log-group:*")}
            },
        },
        {
            "Sid": "Notices",
            "Effect": "Allow",
            "Principal": {"Service": [f"{each}.amazonaws.com" for each in _CHARGED]},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": _ALL,
            "Condition": {"StringEquals": {"aws:SourceAccount": configuration.account}},
        },
    ]
    if configuration.key_administrators:
        statements.append(
            {
                "Sid": "Administrators",
                "Effect": "Allow",
                "Principal": {"AWS": list(configuration.key_administrators)},
                "Action": _MANAGE,
                "Resource": _ALL,
            }
        )
    return names.policy(*statements)
