"""Azure: resource ids as the resource manager gives them.

Source: the resource manager's id format, and the provider's documentation of each resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.rules.forms import Form, Package, Resource, stable_uuid
from mlinfra.emulator.providers.values import UNKNOWN, holds_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
_TENANT = "00000000-0000-4000-8000-000000000002"
_NAMESPACES = {
    "applicationinsights": "Microsoft.Insights",
    "authorization": "Microsoft.Authorization",
    "consumption": "Microsoft.Consumption",
    "containerregistry": "Microsoft.ContainerRegistry",
    "keyvault": "Microsoft.KeyVault",
    "machinelearningservices": "Microsoft.MachineLearningServices",
    "managedidentity": "Microsoft.ManagedIdentity",
    "monitor": "Microsoft.Insights",
    "network": "Microsoft.Network",
    "operationalinsights": "Microsoft.OperationalInsights",
    "portal": "Microsoft.Portal",
    "privatedns": "Microsoft.Network",
    "resources": "Microsoft.Resources",
    "storage": "Microsoft.Storage",
}
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"
# An input that names what a resource lies in, and that one's collection, the outer before the inner.
_PARENTS = {
    "accountName": "storageAccounts",
    "workspaceName": "workspaces",
    "registryName": "registries",
    "vaultName": "vaults",
    "virtualNetworkName": "virtualNetworks",
    "privateZoneName": "privateDnsZones",
    "privateEndpointName": "privateEndpoints",
    "endpointName": "onlineEndpoints",
}
# Collections that are not the kind with an s, and what stands between a resource and its parent.
_COLLECTIONS = {
    "BlobContainer": "blobServices/default/containers",
    "BlobServiceProperties": "blobServices",
    "FederatedIdentityCredential": "userAssignedIdentities/{resourceName}/federatedIdentityCredentials",
    "ManagedNetworkSettingsRule": "outboundRules",
    "ManagementPolicy": "managementPolicies",
    "OnlineDeployment": "deployments",
    "PrivateZone": "privateDnsZones",
    "Registry": "registries",
    "UserAssignedIdentity": "userAssignedIdentities",
}
_NAMED_BY = {
    "BlobContainer": "containerName",
    "BlobServiceProperties": "blobServicesName",
    "ManagedNetworkSettingsRule": "ruleName",
    "OnlineDeployment": "deploymentName",
    "OnlineEndpoint": "endpointName",
    "PrivateZone": "privateZoneName",
}
_TOLD = {
    "name": "{name}",
    "principalId": "{principal}",
    "clientId": "{client}",
    "tenantId": _TENANT,
    "type": "{type}",
    "provisioningState": "Succeeded",
    "location": "{location}",
}


def _form(named_by: str, *replaced_by: str, native_id: str = "", **outputs: Any) -> Form:
    changed = frozenset({named_by, *replaced_by} - {""})
    return Form(named_by, native_id or "{parent}/{collection}/{name}", {**_TOLD, **outputs}, changed)


FORMS: dict[str, Form] = {
    "azure-native:resources:ResourceGroup": _form("resourceGroupName", native_id=_GROUP),
    "azure-native:storage:StorageAccount": _form(
        "accountName",
        "isHnsEnabled",
        "kind",
        primaryEndpoints={
            "blob": "https://{name}.blob.core.windows.net/",
            "dfs": "https://{name}.dfs.core.windows.net/",
        },
    ),
    "azure-native:containerregistry:Registry": _form("registryName", loginServer="{name}.azurecr.io"),
    "azure-native:applicationinsights:Component": _form(
        "resourceName", instrumentationKey="{uuid}", connectionString="InstrumentationKey={uuid}"
    ),
    "azure-native:operationalinsights:Workspace": _form("workspaceName", customerId="{uuid}"),
    "azure-native:applicationinsights:Workbook": _form("resourceName", "kind"),
    "azure-native:keyvault:Key": _form(
        "keyName",
        "properties",
        keyUri="https://{vaultName}.vault.azure.net/keys/{name}",
        keyUriWithVersion="https://{vaultName}.vault.azure.net/keys/{name}/{digits}",
    ),
    "azure-native:managedidentity:FederatedIdentityCredential": _form(
        "federatedIdentityCredentialResourceName", "resourceName"
    ),
    "azure-native:managedidentity:UserAssignedIdentity": _form("resourceName"),
    "azure-native:monitor:DiagnosticSetting": _form(
        "name", "resourceUri", native_id="{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}"
    ),
    "azure-native:machinelearningservices:EnvironmentVersion": _form(
        "name", "version", native_id="{parent}/environments/{name}/versions/{version}"
    ),
    "azure-native:monitor:MetricAlert": _form("ruleName"),
    "azure-native:network:PrivateDnsZoneGroup": _form("privateDnsZoneGroupName"),
    "azure-native:network:PrivateEndpoint": _form("privateEndpointName", "subnet"),
    "azure-native:authorization:RoleDefinition": _form(
        "roleDefinitionId",
        "scope",
        native_id="{scope}/providers/Microsoft.Authorization/roleDefinitions/{name}",
    ),
    "azure-native:authorization:RoleAssignment": _form(
        "roleAssignmentName",
        "principalId",
        "roleDefinitionId",
        "scope",
        native_id="{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
    ),
    "azure-native:consumption:Budget": _form(
        "budgetName", "scope", native_id="{scope}/providers/Microsoft.Consumption/budgets/{name}"
    ),
}


def _default(token: str) -> Form:
    """A resource named by its own kind, `computeName` of a Compute, or as the table says."""
    kind = token.rpartition(":")[2]
    own = _NAMED_BY.get(kind, kind[0].lower() + kind[1:] + "Name")
    known = introspect.members(introspect.arguments_class(token))
    named_by = next((each for each in (own, "name", "resourceName") if each in known), "")
    return _form(named_by)


def _facts(resource: Resource) -> Mapping[str, Any]:
    module, kind = resource.token.split(":")[1:]
    namespace = _NAMESPACES.get(module, f"Microsoft.{module}")
    own = FORMS.get(resource.token) or _default(resource.token)
    plain = kind[0].lower() + kind[1:] + "s"
    collection = _COLLECTIONS.get(kind, plain).format(resourceName=resource.inputs.get("resourceName", ""))
    inside = [
        f"{parents}/{resource.inputs[name]}"
        for name, parents in _PARENTS.items()
        if name != own.named_by and resource.inputs.get(name) is not None
    ]
    subscription = resource.config.get("subscriptionId", SUBSCRIPTION)
    group = f"/subscriptions/{subscription}/resourceGroups/{resource.inputs.get('resourceGroupName', '')}"
    mark = (resource.token, resource.logical, resource.inputs.get("resourceGroupName"))
    return {
        "subscription": subscription,
        "location": resource.config.get("location", ""),
        "collection": collection,
        "type": "/".join([namespace, *(part.partition("/")[0] for part in inside), plain]),
        "parent": "/".join([group, f"providers/{namespace}", *inside]),
        "principal": stable_uuid(*mark, "principal"),
        "client": stable_uuid(*mark, "client"),
    }


def _told_back(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Identities go in as a list and come out as a map."""
    identity = inputs.get("identity")
    given = identity.get("userAssignedIdentities") if isinstance(identity, dict) else None
    if not isinstance(identity, dict) or not isinstance(given, list):
        return dict(inputs)
    told: Any = (
        UNKNOWN
        if holds_unknown(given)
        else {
            each: {"principalId": stable_uuid(each, "principal"), "clientId": stable_uuid(each, "client")}
            for each in given
        }
    )
    return {**inputs, "identity": {**identity, "userAssignedIdentities": told}}


def _client(_: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "clientId": stable_uuid("client"),
        "objectId": stable_uuid("object"),
        "subscriptionId": config.get("subscriptionId", SUBSCRIPTION),
        "tenantId": _TENANT,
    }


PACKAGE = Package(
    name="azure-native",
    forms=FORMS,
    default=_default,
    facts=_facts,
    functions={"azure-native:authorization:getClientConfig": _client},
    replaced_by=frozenset({"location", "resourceGroupName", *_PARENTS}),
    told_back=_told_back,
    delete_first=True,  # `Diff` of the provider, but for names that it made up itself; programs may say otherwise
    nested=True,
)
