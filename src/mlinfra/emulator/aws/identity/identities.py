"""Who is seeded, and what a stack would let each of them do: no more than its part needs.

`deployer` calls for people and pipelines, `trainer` and `server` are what jobs and endpoints run as, `approver` is
the only one who writes approvals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.storage import split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlinfra.emulator.aws.identity.authorize import Place

Document = dict[str, Any]
_SERVICE_ROLES = {"trainer", "server"}
_SAGEMAKER = (  # jobs, models, packages and their groups, endpoints and their configurations, predictions, tags
    "sagemaker:*TrainingJob*",
    "sagemaker:*Model",
    "sagemaker:*Models",
    "sagemaker:*ModelPackage*",
    "sagemaker:*Endpoint*",
    "sagemaker:*Tags",
    "sagemaker:Search",
)
_PULL = (
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
)
_PUSH = ("ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage")
_JOB_LOGS = "log-group:/aws/sagemaker/*"


@dataclass(frozen=True)
class Grounds:
    """What policies name: the account, the stores by name, the roles that may be passed, the keys."""

    place: Place
    stores: Mapping[str, str]  # name -> s3:// address
    passed: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    vaults: tuple[str, ...] = ()  # how the names of secrets begin that jobs may read

    def buckets(self) -> list[str]:
        """ARNs of all buckets."""
        return sorted({f"arn:aws:s3:::{split(uri)[0]}" for uri in self.stores.values()})

    def objects(self, *names: str) -> list[str]:
        """Patterns of the objects in the stores of those names."""
        return sorted({_objects(self.stores[name]) for name in names if name in self.stores})

    def others(self, *names: str) -> list[str]:
        """Patterns of the objects in all other stores."""
        return self.objects(*(name for name in self.stores if name not in names))


def trust(identity: str, place: Place) -> Document:
    """Who may assume an identity's role: SageMaker for what runs in it, the account's people for the rest."""
    principal = {"Service": "sagemaker.amazonaws.com"}
    if identity not in _SERVICE_ROLES:
        principal = {"AWS": f"arn:aws:iam::{place.account}:root"}
    return _document({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})


def policy(identity: str, grounds: Grounds) -> Document:
    """What an identity may do; one that the kit does not know may read."""
    return _document(*_POLICIES.get(identity, _reader)(grounds))


def _deployer(grounds: Grounds) -> list[Document]:
    place = grounds.place
    own = grounds.others("approvals")
    return [
        _allow(list(_SAGEMAKER), ["*"]),
        _allow(["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"], grounds.buckets()),
        _allow(["s3:GetObject", "s3:GetObjectTagging"], [*own, *grounds.objects("approvals")]),
        _allow(["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], own),
        *_not_approvals(grounds),
        {
            **_allow(["iam:PassRole"], list(grounds.passed)),
            "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        _allow(["iam:GetRole", "iam:SimulatePrincipalPolicy"], ["*"]),
        _allow(["logs:DescribeLogGroups"], [place.arn("logs", "log-group:*")]),
        _allow(
            ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"], [place.arn("logs", _JOB_LOGS)]
        ),
        _allow(
            [
                "cloudwatch:GetMetricData",
                "cloudwatch:GetMetricStatistics",
                "cloudwatch:ListMetrics",
                "cloudwatch:DescribeAlarms",
            ],
            ["*"],
        ),
        _allow(
            [
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:DeleteAlarms",
                "cloudwatch:SetAlarmState",
                "cloudwatch:TagResource",
                "cloudwatch:ListTagsForResource",
            ],
            [place.arn("cloudwatch", "alarm:*")],
        ),
        _allow(["application-autoscaling:*"], ["*"]),
        _allow(
            ["iam:CreateServiceLinkedRole"],
            ["arn:aws:iam::*:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"],
        ),
        _allow([*_PULL, *_PUSH, "ecr:DescribeImages", "ecr:DescribeRepositories"], ["*"]),
        *_with_keys(grounds),
        _allow(["servicequotas:GetServiceQuota", "servicequotas:ListServiceQuotas"], ["*"]),
    ]


def _trainer(grounds: Grounds) -> list[Document]:
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], grounds.buckets()),
        _allow(["s3:GetObject"], grounds.others("approvals")),
        _allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], grounds.others("approvals")),
        *_not_approvals(grounds),
        *_secrets(grounds),
        *_runs(grounds),
    ]


def _server(grounds: Grounds) -> list[Document]:
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], grounds.buckets()),
        _allow(["s3:GetObject"], grounds.others("approvals")),
        _allow(["s3:PutObject"], grounds.objects("captures", "artefacts")),
        _allow(["cloudwatch:DescribeAlarms"], [grounds.place.arn("cloudwatch", "alarm:*")]),  # those that roll back
        *_not_approvals(grounds),
        *_runs(grounds),
    ]


def _approver(grounds: Grounds) -> list[Document]:
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], grounds.buckets()),
        _allow(["s3:GetObject"], grounds.objects(*grounds.stores)),
        _allow(["s3:PutObject", "s3:DeleteObject"], grounds.objects("approvals")),
        _allow(
            [
                "sagemaker:Describe*",
                "sagemaker:List*",
                "sagemaker:BatchDescribe*",
                "sagemaker:Search",
                "sagemaker:UpdateModelPackage",
            ],
            ["*"],
        ),
        *_with_keys(grounds),
    ]


def _reader(grounds: Grounds) -> list[Document]:
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], grounds.buckets()),
        _allow(["s3:GetObject"], grounds.objects(*grounds.stores)),
        _allow(["sagemaker:Describe*", "sagemaker:List*", "sagemaker:Search"], ["*"]),
    ]


_POLICIES: dict[str, Callable[[Grounds], list[Document]]] = {
    "deployer": _deployer,
    "trainer": _trainer,
    "server": _server,
    "approver": _approver,
}


def _runs(grounds: Grounds) -> list[Document]:
    """What a container needs beside its data: logs, metrics, its image, the keys of what it reads."""
    return [
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
            [grounds.place.arn("logs", _JOB_LOGS)],
        ),
        _allow(["cloudwatch:PutMetricData"], ["*"]),
        _allow(list(_PULL), ["*"]),
        *_with_keys(grounds),
    ]


def _secrets(grounds: Grounds) -> list[Document]:
    found = [grounds.place.arn("secretsmanager", f"secret:{prefix}*") for prefix in grounds.vaults]
    return [_allow(["secretsmanager:GetSecretValue"], found)] if found else []


def _with_keys(grounds: Grounds) -> list[Document]:
    actions = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant"]
    return [_allow(actions, list(grounds.keys))] if grounds.keys else []


def _not_approvals(grounds: Grounds) -> list[Document]:
    """A denial outweighs: a store that holds the approvals' prefix gives no way around it."""
    approvals = grounds.objects("approvals")
    return [{**_allow(["s3:PutObject", "s3:DeleteObject"], approvals), "Effect": "Deny"}] if approvals else []


def _objects(uri: str) -> str:
    bucket, prefix = split(uri)
    return f"arn:aws:s3:::{bucket}/{prefix.strip('/')}/*" if prefix.strip("/") else f"arn:aws:s3:::{bucket}/*"


def _allow(actions: list[str], resources: list[str]) -> Document:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _document(*statements: Document) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}
