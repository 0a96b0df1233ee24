"""By which id a resource is there that a killed run may have made: as its inputs and its provider's give it, by type.

Source: the section "Import" of each resource's page in its provider's documentation; for bindings on Google Cloud the
ids that the provider itself writes into the state. A type whose id the cloud makes up is not here: such an orphan is
asked for by name.
"""

from __future__ import annotations

import json
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Types whose create finds what an earlier, unrecorded create of the same stack has made.
TAKEN_UP: Final = ("pulumi-python:dynamic/mlinfra:",)

_PROJECT: Final = "projects/{project}"
_IN_PLACE: Final = f"{_PROJECT}/locations/{{location}}"
_POOL: Final = f"{_PROJECT}/locations/global/workloadIdentityPools/{{workloadIdentityPoolId}}"
_GROUP: Final = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
_INSIGHTS: Final = "providers/Microsoft.Insights"
_LEARNING: Final = f"{_GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{{workspaceName}}"
_IMAGES: Final = f"{_GROUP}/providers/Microsoft.ContainerRegistry/registries/{{registryName}}"
_VAULT: Final = f"{_GROUP}/providers/Microsoft.KeyVault/vaults/{{vaultName}}"
_USER: Final = f"{_GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{{resourceName}}"
_NETWORK: Final = f"{_GROUP}/providers/Microsoft.Network"
_ACCOUNT: Final = f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{{accountName}}"


def _bound(on: str) -> tuple[str, str]:
    """A member of a role on something, with a condition or without."""
    return f"{on}/{{role}}/{{member}}/{{condition[title]}}", f"{on}/{{role}}/{{member}}"


_AWS: Final[Mapping[str, str]] = {
    "aws:budgets/budget:Budget": "{account}:{name}",
    "aws:cloudwatch/dashboard:Dashboard": "{dashboardName}",
    "aws:cloudwatch/logGroup:LogGroup": "{name}",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "{name}",
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": "{repository}",
    "aws:ecr/pullThroughCacheRule:PullThroughCacheRule": "{ecrRepositoryPrefix}",
    "aws:ecr/repository:Repository": "{name}",
    "aws:ecr/repositoryCreationTemplate:RepositoryCreationTemplate": "{prefix}",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "arn:{partition}:iam::{account}:oidc-provider/{issuer}",
    "aws:iam/role:Role": "{name}",
    "aws:iam/rolePolicy:RolePolicy": "{role}:{name}",
    "aws:kms/alias:Alias": "{name}",
    "aws:s3/bucket:Bucket": "{bucket}",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": "{bucket}",
    "aws:s3/bucketLogging:BucketLogging": "{bucket}",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": "{bucket}",
    "aws:s3/bucketPolicy:BucketPolicy": "{bucket}",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": "{bucket}",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": "{bucket}",
    "aws:s3/bucketVersioning:BucketVersioning": "{bucket}",
    "aws:sagemaker/endpoint:Endpoint": "{name}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "{name}",
    "aws:sagemaker/model:Model": "{name}",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "{modelPackageGroupName}",
    "aws:sns/topic:Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "aws:sns/topicPolicy:TopicPolicy": "{arn}",
}
_AZURE: Final[Mapping[str, str]] = {
    "azure-native:applicationinsights:Component": f"{_GROUP}/{_INSIGHTS}/components/{{resourceName}}",
    "azure-native:applicationinsights:Workbook": f"{_GROUP}/{_INSIGHTS}/workbooks/{{resourceName}}",
    "azure-native:authorization:RoleAssignment": (
        "{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}"
    ),
    "azure-native:authorization:RoleDefinition": (
        "{scope}/providers/Microsoft.Authorization/roleDefinitions/{roleDefinitionId}"
    ),
    "azure-native:consumption:Budget": "{scope}/providers/Microsoft.Consumption/budgets/{budgetName}",
    "azure-native:containerregistry:CacheRule": f"{_IMAGES}/cacheRules/{{cacheRuleName}}",
    "azure-native:containerregistry:Registry": _IMAGES,
    "azure-native:keyvault:Key": f"{_VAULT}/keys/{{keyName}}",
    "azure-native:keyvault:Vault": _VAULT,
    "azure-native:machinelearningservices:Compute": f"{_LEARNING}/computes/{{computeName}}",
    "azure-native:machinelearningservices:ManagedNetworkSettingsRule": f"{_LEARNING}/outboundRules/{{ruleName}}",
    "azure-native:machinelearningservices:OnlineEndpoint": f"{_LEARNING}/onlineEndpoints/{{endpointName}}",
    "azure-native:machinelearningservices:Registry": (
        f"{_GROUP}/providers/Microsoft.MachineLearningServices/registries/{{registryName}}"
    ),
    "azure-native:machinelearningservices:Workspace": _LEARNING,
    "azure-native:managedidentity:FederatedIdentityCredential": (
        f"{_USER}/federatedIdentityCredentials/{{federatedIdentityCredentialResourceName}}"
    ),
    "azure-native:managedidentity:UserAssignedIdentity": _USER,
    "azure-native:monitor:ActionGroup": f"{_GROUP}/{_INSIGHTS}/actionGroups/{{actionGroupName}}",
    "azure-native:monitor:DiagnosticSetting": f"{{resourceUri}}/{_INSIGHTS}/diagnosticSettings/{{name}}",
    "azure-native:monitor:MetricAlert": f"{_GROUP}/{_INSIGHTS}/metricAlerts/{{ruleName}}",
    "azure-native:network:PrivateDnsZoneGroup": (
        f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}/privateDnsZoneGroups/{{privateDnsZoneGroupName}}"
    ),
    "azure-native:network:PrivateEndpoint": f"{_NETWORK}/privateEndpoints/{{privateEndpointName}}",
    "azure-native:network:Subnet": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}/subnets/{{subnetName}}",
    "azure-native:network:VirtualNetwork": f"{_NETWORK}/virtualNetworks/{{virtualNetworkName}}",
    "azure-native:operationalinsights:Workspace": (
        f"{_GROUP}/providers/Microsoft.OperationalInsights/workspaces/{{workspaceName}}"
    ),
    "azure-native:privatedns:PrivateZone": f"{_NETWORK}/privateDnsZones/{{privateZoneName}}",
    "azure-native:privatedns:VirtualNetworkLink": (
        f"{_NETWORK}/privateDnsZones/{{privateZoneName}}/virtualNetworkLinks/{{virtualNetworkLinkName}}"
    ),
    "azure-native:resources:ResourceGroup": _GROUP,
    "azure-native:storage:BlobContainer": f"{_ACCOUNT}/blobServices/default/containers/{{containerName}}",
    "azure-native:storage:BlobServiceProperties": f"{_ACCOUNT}/blobServices/{{blobServicesName}}",
    "azure-native:storage:ManagementPolicy": f"{_ACCOUNT}/managementPolicies/{{managementPolicyName}}",
    "azure-native:storage:StorageAccount": _ACCOUNT,
}
_GCP: Final[Mapping[str, str | tuple[str, ...]]] = {
    "gcp:artifactregistry/repository:Repository": f"{_IN_PLACE}/repositories/{{repositoryId}}",
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": _bound(f"{_IN_PLACE}/repositories/{{repository}}"),
    "gcp:compute/firewall:Firewall": f"{_PROJECT}/global/firewalls/{{name}}",
    "gcp:compute/network:Network": f"{_PROJECT}/global/networks/{{name}}",
    "gcp:compute/networkAttachment:NetworkAttachment": f"{_PROJECT}/regions/{{region}}/networkAttachments/{{name}}",
    "gcp:compute/router:Router": f"{_PROJECT}/regions/{{region}}/routers/{{name}}",
    "gcp:compute/routerNat:RouterNat": "{project}/{region}/{router}/{name}",
    "gcp:compute/subnetwork:Subnetwork": f"{_PROJECT}/regions/{{region}}/subnetworks/{{name}}",
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": _POOL,
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": (
        f"{_POOL}/providers/{{workloadIdentityPoolProviderId}}"
    ),
    "gcp:kms/cryptoKey:CryptoKey": "{keyRing}/cryptoKeys/{name}",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": _bound("{cryptoKeyId}"),
    "gcp:kms/keyRing:KeyRing": f"{_IN_PLACE}/keyRings/{{name}}",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": f"{_IN_PLACE}/buckets/{{bucketId}}",
    "gcp:logging/projectSink:ProjectSink": f"{_PROJECT}/sinks/{{name}}",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": "{project}/audit_config/{service}",
    "gcp:projects/iAMCustomRole:IAMCustomRole": f"{_PROJECT}/roles/{{roleId}}",
    "gcp:projects/iAMMember:IAMMember": _bound("{project}"),
    "gcp:projects/service:Service": "{project}/{service}",
    "gcp:projects/serviceIdentity:ServiceIdentity": f"{_PROJECT}/services/{{service}}",
    "gcp:secretmanager/secret:Secret": f"{_PROJECT}/secrets/{{secretId}}",
    "gcp:serviceaccount/account:Account": (
        f"{_PROJECT}/serviceAccounts/{{accountId}}@{{project}}.iam.gserviceaccount.com"
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": _bound("{serviceAccountId}"),
    "gcp:storage/bucket:Bucket": "{name}",
    "gcp:storage/bucketIAMMember:BucketIAMMember": _bound("b/{bucket}"),
    "gcp:vertex/aiEndpoint:AiEndpoint": f"{_IN_PLACE}/endpoints/{{name}}",
    "gcp:vertex/aiPersistentResource:AiPersistentResource": f"{_IN_PLACE}/persistentResources/{{name}}",
}
# Type -> templates; the first counts for which every input is there.
IDENTITIES: Final[Mapping[str, str | tuple[str, ...]]] = MappingProxyType({**_AWS, **_AZURE, **_GCP})


def identity(kind: str, inputs: Mapping[str, Any], provider: Mapping[str, Any]) -> str:
    """The id of a resource with these inputs, and of a provider with those; empty where nothing gives it."""
    facts = {**_facts(provider), "issuer": str(inputs.get("url", "")).removeprefix("https://").rstrip("/"), **inputs}
    templates = IDENTITIES.get(kind, ())
    for template in (templates,) if isinstance(templates, str) else templates:
        with suppress(KeyError, TypeError):  # an input that would give the id was never set
            return template.format_map(facts)
    return ""


def _facts(provider: Mapping[str, Any]) -> dict[str, Any]:
    """What a provider's inputs tell of every resource of its own. The engine keeps a list there as its JSON text."""
    accounts = provider.get("allowedAccountIds") or "[]"
    known = json.loads(accounts) if isinstance(accounts, str) else accounts
    region = str(provider.get("region", ""))
    partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")
    return {**provider, "partition": partition, **({"account": known[0]} if known else {})}
