"""What each identity must be allowed, and no more: the tables from which `env permissions` prints IAM policies.

Actions and what they can be narrowed to follow AWS's service authorisation reference. Search, the listings and
CloudWatch's metrics take no resource; a look for alarms by how their names begin is asked for on all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.catalog.aws.addresses import ENDPOINT_LOGS, TRAINING_LOGS, arn, partition
from mlinfra.contract.endpoints import ASYNCHRONOUS_FOLDER
from mlinfra.contract.locations import store_base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment

VERSION = "2012-10-17"
SCALING = "sagemaker.application-autoscaling.amazonaws.com"  # whose role the first target of an account makes
_CONDITIONS = {
    "roles": {"iam:PassedToService": "sagemaker.amazonaws.com"},
    "scaling role": {"iam:AWSServiceName": SCALING},
}
CALLER, TRAINER, SERVER, APPROVER = "caller", "trainer", "server", "approver"

# Identity -> what it does -> actions; what it does is narrowed by `_resources`.
_ACTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CALLER: {
        "jobs": (
            "sagemaker:CreateTrainingJob",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:StopTrainingJob",
            "sagemaker:DeleteTrainingJob",
        ),
        "models": (
            "sagemaker:CreateModelPackage",
            "sagemaker:DescribeModelPackage",
            "sagemaker:UpdateModelPackage",
            "sagemaker:DeleteModelPackage",
            "sagemaker:CreateModelPackageGroup",
            "sagemaker:DescribeModelPackageGroup",
            "sagemaker:DeleteModelPackageGroup",
        ),
        "endpoints": (
            "sagemaker:CreateModel",
            "sagemaker:DescribeModel",
            "sagemaker:DeleteModel",
            "sagemaker:CreateEndpointConfig",
            "sagemaker:DescribeEndpointConfig",
            "sagemaker:DeleteEndpointConfig",
            "sagemaker:CreateEndpoint",
            "sagemaker:DescribeEndpoint",
            "sagemaker:UpdateEndpoint",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
            "sagemaker:DeleteEndpoint",
            "sagemaker:InvokeEndpoint",
            "sagemaker:InvokeEndpointAsync",
        ),
        "tags": ("sagemaker:AddTags", "sagemaker:ListTags", "sagemaker:DeleteTags"),
        "listings": (
            "sagemaker:Search",
            "sagemaker:ListModelPackageGroups",
            "sagemaker:ListModels",
            "sagemaker:ListEndpoints",
            "sagemaker:ListEndpointConfigs",
        ),
        "scaling": (
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:DeleteScalingPolicy",
        ),
        "scaling role": ("iam:CreateServiceLinkedRole",),
        "scaling listings": (
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
        ),
        "metrics": ("cloudwatch:GetMetricData", "cloudwatch:DescribeAlarms"),
        "endpoint alarms": ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:TagResource"),
        "logs": ("logs:FilterLogEvents",),
        "objects": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"),
        "decisions": ("s3:GetObject",),
        "buckets": ("s3:ListBucket",),
        "roles": ("iam:PassRole",),
        "identities": ("iam:GetRole", "iam:SimulatePrincipalPolicy"),  # what `env doctor` looks at
        "images": ("ecr:DescribeImages",),
        "pushed images": (
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:CompleteLayerUpload",
            "ecr:GetDownloadUrlForLayer",
            "ecr:InitiateLayerUpload",
            "ecr:PutImage",
            "ecr:UploadLayerPart",
        ),
        "registry login": ("ecr:GetAuthorizationToken",),
        "keys": ("kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey", "kms:CreateGrant"),
    },
    TRAINER: {
        "inputs": ("s3:GetObject",),
        "outputs": ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"),
        "buckets": ("s3:ListBucket",),
        "secrets": ("secretsmanager:GetSecretValue",),
        "log streams": ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"),
        "own metrics": ("cloudwatch:PutMetricData",),
        "images": ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"),
        "registry login": ("ecr:GetAuthorizationToken",),
        "keys": ("kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"),
        "network": (
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
        ),
        "network listings": (
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeVpcs",
            "ec2:DescribeSubnets",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeDhcpOptions",
        ),
    },
    APPROVER: {
        "models": ("sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"),
        "listings": ("sagemaker:Search",),
        "decisions": ("s3:GetObject", "s3:PutObject"),
        "records": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        "buckets": ("s3:ListBucket",),
        "keys": ("kms:Decrypt", "kms:GenerateDataKey"),
    },
}
_SERVER_TASKS = ("buckets", "log streams", "own metrics", "images", "registry login", "keys", "network")


def permissions(environment: Environment) -> dict[str, list[str]]:
    """Identity -> every action that the kit will use in its name."""
    return {
        identity: sorted({action for statement in statements for action in statement["Action"]})
        for identity, statements in _statements(environment).items()
    }


def policy(environment: Environment) -> Document:
    """Identity -> the IAM policy that lets it do its part in this environment and nothing else."""
    return {
        identity: {"Version": VERSION, "Statement": statements}
        for identity, statements in _statements(environment).items()
    }


def _statements(environment: Environment) -> dict[str, list[Document]]:
    found = {}
    for identity, tasks in _tasks(environment).items():
        statements = [_statement(task, actions, environment, identity) for task, actions in tasks.items()]
        found[identity] = [statement for statement in statements if statement["Resource"]]
        if identity == CALLER:
            found[identity] += _refusals(environment)
    return found


def _tasks(environment: Environment) -> dict[str, Mapping[str, tuple[str, ...]]]:
    trainer = _ACTIONS[TRAINER]
    server = {task: trainer[task] for task in (*_SERVER_TASKS, "network listings")}
    server |= {"models": ("s3:GetObject",), "captures": ("s3:PutObject", "s3:AbortMultipartUpload")}
    server |= {"questions": ("s3:GetObject",), "answers": ("s3:PutObject", "s3:AbortMultipartUpload")}
    server |= {"alarms": ("cloudwatch:DescribeAlarms",)}  # of a guarded update, which SageMaker watches in its name
    tasks = {CALLER: _ACTIONS[CALLER], TRAINER: trainer, SERVER: server, APPROVER: _ACTIONS[APPROVER]}
    if environment.network.subnets:
        return tasks
    return {
        identity: {task: actions for task, actions in known.items() if not task.startswith("network")}
        for identity, known in tasks.items()
    }


def _statement(task: str, actions: tuple[str, ...], environment: Environment, identity: str) -> Document:
    words = f"{identity} {task}".title().replace(" ", "")
    statement: Document = {
        "Sid": words,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": _resources(environment, identity, task),
    }
    if task in _CONDITIONS:
        statement["Condition"] = {"StringEquals": _CONDITIONS[task]}
    return statement


def _refusals(environment: Environment) -> list[Document]:
    """Whoever submits and deploys may read decisions and never write one."""
    return [
        {
            "Sid": "NoDecisions",
            "Effect": "Deny",
            "Action": ["s3:PutObject", "s3:DeleteObject"],
            "Resource": _decisions(environment),
        }
    ]


def _resources(environment: Environment, identity: str, task: str) -> list[str]:
    """What a task is narrowed to; `*` where the service takes no resource."""
    sagemaker = {
        "jobs": ["training-job/*"],
        "models": [f"model-package/*-{environment.suffix}/*", f"model-package-group/*-{environment.suffix}"],
        "endpoints": ["model/mlinfra*", "endpoint-config/mlinfra*", f"endpoint/*-{environment.suffix}*"],
        "tags": [
            "training-job/*",
            "model/mlinfra*",
            "endpoint-config/mlinfra*",
            f"endpoint/*-{environment.suffix}*",
            f"model-package-group/*-{environment.suffix}",
        ],
    }
    if identity == SERVER and task == "models":
        return _objects(environment, "artefacts", ("models/",))
    if task in sagemaker:
        return [arn(environment, "sagemaker", resource) for resource in sagemaker[task]]
    return _OTHERS[task](environment) if task in _OTHERS else ["*"]


def _objects(environment: Environment, store: str, prefixes: tuple[str, ...] = ("",)) -> list[str]:
    if store not in environment.stores:
        return []
    base = store_base(environment, store).removeprefix("s3://")
    return [f"arn:{partition(environment.region)}:s3:::{base}/{prefix}*" for prefix in prefixes]


def _decisions(environment: Environment) -> list[str]:
    apart = "approvals" in environment.stores
    return _objects(environment, "approvals" if apart else "artefacts", ("approvals/",))


def _buckets(environment: Environment) -> list[str]:
    names = {store_base(environment, name).removeprefix("s3://").partition("/")[0] for name in environment.stores}
    return [f"arn:{partition(environment.region)}:s3:::{name}" for name in sorted(names)]


def _log_groups(environment: Environment) -> list[str]:
    groups = (TRAINING_LOGS, f"{ENDPOINT_LOGS}/*-{environment.suffix}*")
    return [arn(environment, "logs", f"log-group:{group}:*") for group in groups]


def _keys(environment: Environment) -> list[str]:
    named = {environment.keys[location.key] for location in environment.stores.values() if location.key}
    named |= {environment.keys[use] for use in ("volume",) if use in environment.keys}
    return sorted(key if key.startswith("arn:") else arn(environment, "kms", f"key/{key}") for key in named)


def _images(environment: Environment) -> list[str]:
    """The environment's own repositories and its images'; the vendor's frameworks need no permission here."""
    names = {image.uri.partition("/")[2].partition("@")[0].partition(":")[0] for image in environment.images.values()}
    named = {arn(environment, "ecr", f"repository/{name}") for name in names if name}
    return sorted({*named, *_own_repositories(environment)})


def _own_repositories(environment: Environment) -> list[str]:
    """Where images of one's own are pushed."""
    own = environment.registries.get("images", "").partition("/")[2]
    return [arn(environment, "ecr", f"repository/{own}/*")] if own else []


def _network(environment: Environment) -> list[str]:
    subnets = [arn(environment, "ec2", f"subnet/{name}") for name in environment.network.subnets]
    groups = [arn(environment, "ec2", f"security-group/{name}") for name in environment.network.security_groups]
    return [arn(environment, "ec2", "network-interface/*"), *subnets, *groups]


_OTHERS = {
    "scaling": lambda environment: [arn(environment, "application-autoscaling", "scalable-target/*")],
    "endpoint alarms": lambda environment: [
        arn(environment, "cloudwatch", f"alarm:mlinfra--*-{environment.suffix}--*")
    ],
    "logs": _log_groups,
    "log streams": _log_groups,
    "objects": lambda environment: [
        resource for name in environment.stores if name != "approvals" for resource in _objects(environment, name)
    ],
    "inputs": lambda environment: [
        *_objects(environment, "artefacts", ("code/", "inputs/", "wheels/")),
        *_objects(environment, "data"),
    ],
    "outputs": lambda environment: _objects(environment, "artefacts", ("jobs/", "checkpoints/")),
    "captures": lambda environment: (
        _objects(environment, "captures") or _objects(environment, "artefacts", ("captures/",))
    ),
    "questions": lambda environment: _objects(environment, "artefacts", (f"{ASYNCHRONOUS_FOLDER}/",)),
    "answers": lambda environment: _objects(environment, "artefacts", (f"{ASYNCHRONOUS_FOLDER}/",)),
    "scaling role": lambda environment: [
        f"arn:{partition(environment.region)}:iam::{environment.account}:role/aws-service-role/{SCALING}/*"
    ],
    "secrets": lambda environment: [
        arn(environment, "secretsmanager", f"secret:{prefix}*") for prefix in environment.vaults.values()
    ],
    "decisions": _decisions,
    "records": lambda environment: _objects(environment, "artefacts", ("kit/",)),
    "buckets": _buckets,
    "roles": lambda environment: [
        environment.identities[name] for name in (TRAINER, SERVER) if name in environment.identities
    ],
    "identities": lambda environment: sorted(environment.identities.values()),
    "keys": _keys,
    "images": _images,
    "pushed images": _own_repositories,
    "network": _network,
}
