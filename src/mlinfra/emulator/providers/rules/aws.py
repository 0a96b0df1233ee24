"""Amazon Web Services: names, ids and ARNs as the provider gives them.

Source: the provider's documentation of each resource's attributes, and AWS's ARN formats.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.providers.rules.forms import Form, Package, Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT = "111122223333"
_REGION = "eu-west-1"


def _arn(service: str, rest: str, *, regional: bool = True) -> str:
    place = "{region}:{account}" if regional else ":{account}"
    return f"arn:aws:{service}:{place}:{rest}"


def _of_bucket(*more: str) -> Form:
    return Form(named_by="", id="{bucket}", replaced_by=frozenset({"bucket", *more}))


def _numbered(prefix: str, kind: str, *replaced_by: str) -> Form:
    arn = _arn("ec2", f"{kind}/{{id}}")
    return Form(named_by="", id=prefix + "-{digits}", outputs={"arn": arn}, replaced_by=frozenset(replaced_by))


def _sagemaker(kind: str, named_by: str, *replaced_by: str) -> Form:
    return Form(
        named_by=named_by,
        id="{name}",
        outputs={"arn": _arn("sagemaker", f"{kind}/{{id}}")},
        replaced_by=frozenset({named_by, *replaced_by}),
    )


FORMS: dict[str, Form] = {
    "aws:s3/bucket:Bucket": Form(
        "bucket",
        "{bucket}",
        {
            "arn": "arn:aws:s3:::{id}",
            "bucketDomainName": "{id}.s3.amazonaws.com",
            "bucketRegionalDomainName": "{id}.s3.{region}.amazonaws.com",
            "bucketRegion": "{region}",
        },
        frozenset({"bucket", "objectLockEnabled"}),
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _of_bucket(),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _of_bucket(),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _of_bucket(),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _of_bucket(),
    "aws:s3/bucketPolicy:BucketPolicy": _of_bucket(),
    "aws:s3/bucketLogging:BucketLogging": _of_bucket(),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _of_bucket(),
    "aws:kms/key:Key": Form(
        "",
        "{uuid}",
        {"arn": _arn("kms", "key/{id}"), "keyId": "{id}"},
        frozenset({"customerMasterKeySpec", "keyUsage", "multiRegion"}),
    ),
    "aws:kms/alias:Alias": Form(
        "name",
        "{name}",
        {"arn": _arn("kms", "{name}"), "targetKeyArn": _arn("kms", "key/{targetKeyId}")},
        frozenset({"name", "namePrefix"}),
    ),
    "aws:iam/role:Role": Form(
        "name",
        "{name}",
        {"arn": _arn("iam", "role{path}{name}", regional=False), "uniqueId": "AROA{digits}"},
        frozenset({"name", "path", "namePrefix"}),
    ),
    "aws:iam/policy:Policy": Form(
        "name",
        _arn("iam", "policy{path}{name}", regional=False),
        {"arn": "{id}", "policyId": "ANPA{digits}", "attachmentCount": 0},
        frozenset({"name", "path", "namePrefix", "description"}),
    ),
    "aws:iam/rolePolicy:RolePolicy": Form("name", "{role}:{name}", {}, frozenset({"name", "role", "namePrefix"})),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Form(
        "", "{role}/{policyArn}", {}, frozenset({"role", "policyArn"})
    ),
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": Form(
        "", _arn("iam", "oidc-provider/{issuer}", regional=False), {"arn": "{id}"}, frozenset({"url"})
    ),
    "aws:ecr/repository:Repository": Form(
        "name",
        "{name}",
        {
            "arn": _arn("ecr", "repository/{name}"),
            "registryId": "{account}",
            "repositoryUrl": "{account}.dkr.ecr.{region}.amazonaws.com/{name}",
        },
        frozenset({"name", "encryptionConfigurations"}),
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Form(
        "", "{repository}", {"registryId": "{account}"}, frozenset({"repository", "policy"})
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": Form(
        "", "{repository}", {"registryId": "{account}"}, frozenset({"repository"})
    ),
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": Form(
        "",
        "{ecrRepositoryPrefix}",
        {"registryId": "{account}"},
        frozenset({"ecrRepositoryPrefix", "upstreamRegistryUrl"}),
    ),
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": Form(
        "", "{prefix}", {"registryId": "{account}"}, frozenset({"prefix"})
    ),
    "aws:cloudwatch/logGroup:LogGroup": Form(
        "name",
        "{name}",
        {"arn": _arn("logs", "log-group:{name}")},
        frozenset({"name", "namePrefix", "logGroupClass"}),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Form(
        "name", "{name}", {"arn": _arn("cloudwatch", "alarm:{name}")}, frozenset({"name"})
    ),
    "aws:cloudwatch/dashboard:Dashboard": Form(
        "dashboardName",
        "{dashboardName}",
        {"dashboardArn": "arn:aws:cloudwatch::{account}:dashboard/{dashboardName}"},
        frozenset({"dashboardName"}),
    ),
    "aws:sns/topic:Topic": Form(
        "name",
        _arn("sns", "{name}"),
        {"arn": "{id}", "owner": "{account}"},
        frozenset({"name", "namePrefix", "fifoTopic"}),
    ),
    "aws:sns/topicPolicy:TopicPolicy": Form("", "{arn}", {"owner": "{account}"}, frozenset({"arn"})),
    "aws:sns/topicSubscription:TopicSubscription": Form(
        "", "{topic}:{uuid}", {"arn": "{id}"}, frozenset({"topic", "protocol", "endpoint"})
    ),
    "aws:secretsmanager/secret:Secret": Form(
        "name",
        _arn("secretsmanager", "secret:{name}-{digits:.6}"),
        {"arn": "{id}"},
        frozenset({"name", "namePrefix"}),
    ),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": _sagemaker(
        "model-package-group", "modelPackageGroupName", "modelPackageGroupDescription"
    ),
    "aws:sagemaker/model:Model": _sagemaker(
        "model",
        "name",
        "containers",
        "primaryContainer",
        "executionRoleArn",
        "vpcConfig",
        "enableNetworkIsolation",
        "inferenceExecutionConfig",
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _sagemaker(
        "endpoint-config",
        "name",
        "namePrefix",
        "productionVariants",
        "shadowProductionVariants",
        "dataCaptureConfig",
        "asyncInferenceConfig",
        "kmsKeyArn",
        "executionRoleArn",
    ),
    "aws:sagemaker/endpoint:Endpoint": _sagemaker("endpoint", "name"),
    "aws:appautoscaling/target:Target": Form(
        "",
        "{resourceId}",
        {"arn": _arn("application-autoscaling", "scalable-target/{digits}")},
        frozenset({"resourceId", "scalableDimension", "serviceNamespace"}),
    ),
    "aws:appautoscaling/policy:Policy": Form(
        "name",
        "{name}",
        {"arn": _arn("autoscaling", "scalingPolicy:{uuid}:policyName/{name}")},
        frozenset({"name", "resourceId", "scalableDimension", "serviceNamespace"}),
    ),
    "aws:ec2/vpc:Vpc": _numbered("vpc", "vpc", "cidrBlock", "ipv4IpamPoolId"),
    "aws:ec2/subnet:Subnet": _numbered("subnet", "subnet", "cidrBlock", "vpcId", "availabilityZone"),
    "aws:ec2/securityGroup:SecurityGroup": Form(
        "name",
        "sg-{digits}",
        {"arn": _arn("ec2", "security-group/{id}"), "ownerId": "{account}"},
        frozenset({"name", "vpcId", "description", "namePrefix"}),
    ),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": Form(
        "",
        "sg-{digits}",
        {"arn": _arn("ec2", "security-group/{id}"), "ownerId": "{account}", "name": "default"},
        frozenset({"vpcId"}),
    ),
    "aws:ec2/routeTable:RouteTable": _numbered("rtb", "route-table", "vpcId"),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Form(
        "", "rtbassoc-{digits}", {}, frozenset({"subnetId", "gatewayId"})
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": _numbered("vpce", "vpc-endpoint", "vpcId", "serviceName", "vpcEndpointType"),
    "aws:ec2/flowLog:FlowLog": _numbered(
        *("fl", "vpc-flow-log", "vpcId", "subnetId", "eniId", "iamRoleArn", "trafficType"),
        *("logDestination", "logDestinationType", "logFormat", "maxAggregationInterval"),
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _numbered(
        "sgr", "security-group-rule", "securityGroupId"
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _numbered(
        "sgr", "security-group-rule", "securityGroupId"
    ),
    "aws:servicequotas/serviceQuota:ServiceQuota": Form(
        "",
        "{serviceCode}/{quotaCode}",
        {"arn": _arn("servicequotas", "{serviceCode}/{quotaCode}")},
        frozenset({"serviceCode", "quotaCode"}),
    ),
    "aws:budgets/budget:Budget": Form(
        "name",
        "{account}:{name}",
        {"arn": "arn:aws:budgets::{account}:budget/{name}", "accountId": "{account}"},
        frozenset({"name", "namePrefix", "accountId"}),
    ),
    "aws:budgets/budgetAction:BudgetAction": Form(
        "",
        "{account}:{uuid}:{budgetName}",
        {"actionId": "{uuid}", "arn": "arn:aws:budgets::{account}:budget/{budgetName}/action/{uuid}"},
        frozenset({"budgetName", "actionType", "accountId"}),
    ),
}


def _default(token: str) -> Form:
    """A named resource whose ARN follows the common pattern."""
    service, _, kind = token.split(":")[1].partition("/")
    return Form("name", "{name}", {"arn": _arn(service, f"{kind}/{{id}}")}, frozenset({"name", "namePrefix"}))


def _account(config: Mapping[str, Any]) -> str:
    """The account that is configured. The engine hands a provider's lists over as their JSON text."""
    allowed = config.get("allowedAccountIds") or []
    known = json.loads(allowed) if isinstance(allowed, str) else allowed
    return str(next(iter(known), ACCOUNT))


def _facts(resource: Resource) -> Mapping[str, Any]:
    config = resource.config
    return {
        "account": _account(config),
        "region": resource.inputs.get("region") or config.get("region", _REGION),
        "path": "/",
        "issuer": str(resource.inputs.get("url", "")).removeprefix("https://").rstrip("/"),
    }


def _region(_: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    region = config.get("region", _REGION)
    return {
        "region": region,
        "name": region,
        "id": region,
        "endpoint": f"ec2.{region}.amazonaws.com",
        "description": region,
    }


def _caller(_: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    account = _account(config)
    return {
        "accountId": account,
        "arn": f"arn:aws:iam::{account}:user/deployer",
        "userId": "AIDA" + account,
        "id": account,
    }


def _partition(_: Mapping[str, Any], __: Mapping[str, Any]) -> dict[str, Any]:
    return {"partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws", "id": "aws"}


def _zones(asked: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    region = asked.get("region") or config.get("region", _REGION)
    return {
        **asked,
        "id": region,
        "region": region,
        "names": [region + letter for letter in "abc"],
        "zoneIds": [f"{region}-az{number}" for number in (1, 2, 3)],
        "groupNames": [region],
    }


PACKAGE = Package(
    name="aws",
    forms=FORMS,
    default=_default,
    facts=_facts,
    functions={
        "aws:index/getCallerIdentity:getCallerIdentity": _caller,
        "aws:index/getRegion:getRegion": _region,
        "aws:index/getPartition:getPartition": _partition,
        "aws:index/getAvailabilityZones:getAvailabilityZones": _zones,
    },
    required=("region",),
    replaced_by=frozenset({"region"}),
)
