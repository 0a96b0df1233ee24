"""Google Cloud: names and ids as the provider gives them.

Source: the provider's documentation of each resource's attributes and of its import ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.providers.rules.forms import Form, Package, Resource, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = "111122223333"
_IN_PLACE = "projects/{project}/locations/{location}"
_OF_PROJECT = "projects/{project}"
_POOL = "projects/{project}/locations/global/workloadIdentityPools/{workloadIdentityPoolId}"


def _member(on: str, where: str = "") -> Form:
    """A binding of one role to one member, on what an input names; `where` is that one's id."""
    replaced_by = frozenset({on, "role", "member", "condition"})
    return Form("", (where or f"{{{on}}}") + "/{role}/{member}{narrowed}", {"etag": "{digits}"}, replaced_by)


def _compute(collection: str, *replaced_by: str, place: str = "global") -> Form:
    path = f"{_OF_PROJECT}/{place}/{collection}/{{name}}"
    link = "https://www.googleapis.com/compute/v1/{id}"
    return Form("name", path, {"selfLink": link}, frozenset({"name", *replaced_by}))


_AGENT = "service-{number}@gcp-sa-{agent}.iam.gserviceaccount.com"
_ACCOUNT = "{accountId}@{project}.iam.gserviceaccount.com"

FORMS: dict[str, Form] = {
    "gcp:storage/bucket:Bucket": Form(
        "name",
        "{name}",
        {"url": "gs://{name}", "selfLink": "https://www.googleapis.com/storage/v1/b/{name}"},
        frozenset({"name", "location", "customPlacementConfig", "enableObjectRetention", "hierarchicalNamespace"}),
    ),
    "gcp:storage/bucketIAMMember:BucketIAMMember": _member("bucket", "b/{bucket}"),
    "gcp:kms/keyRing:KeyRing": Form("name", _IN_PLACE + "/keyRings/{name}", {}, frozenset({"name", "location"})),
    "gcp:kms/cryptoKey:CryptoKey": Form(
        "name",
        "{keyRing}/cryptoKeys/{name}",
        {},
        frozenset({"name", "keyRing", "purpose", "destroyScheduledDuration", "importOnly", "cryptoKeyBackend"}),
    ),
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": _member("cryptoKeyId"),
    "gcp:serviceaccount/account:Account": Form(
        "",
        f"{_OF_PROJECT}/serviceAccounts/{_ACCOUNT}",
        {"email": _ACCOUNT, "member": f"serviceAccount:{_ACCOUNT}", "name": "{id}", "uniqueId": "{whole_number}"},
        frozenset({"accountId"}),
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": _member("serviceAccountId"),
    "gcp:projects/iAMMember:IAMMember": _member("project"),
    "gcp:projects/iAMCustomRole:IAMCustomRole": Form(
        "", f"{_OF_PROJECT}/roles/{{roleId}}", {"name": "{id}"}, frozenset({"roleId"})
    ),
    "gcp:projects/service:Service": Form("", "{project}/{service}", {}, frozenset({"service"})),
    "gcp:artifactregistry/repository:Repository": Form(
        "",
        _IN_PLACE + "/repositories/{repositoryId}",
        {"name": "{repositoryId}", "registryUri": "{location}-docker.pkg.dev/{project}/{repositoryId}"},
        frozenset({"repositoryId", "location", "format", "mode", "kmsKeyName", "remoteRepositoryConfig"}),
    ),
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": _member(
        "repository", _IN_PLACE + "/repositories/{repository}"
    ),
    "gcp:vertex/aiEndpoint:AiEndpoint": Form(
        "name",
        _IN_PLACE + "/endpoints/{name}",
        {"dedicatedEndpointDns": "{name}.{location}-{number}.prediction.vertexai.goog"},
        frozenset(
            {
                *("name", "location", "region", "network", "encryptionSpec"),
                *("dedicatedEndpointEnabled", "privateServiceConnectConfig"),
            }
        ),
    ),
    "gcp:vertex/aiTensorboard:AiTensorboard": Form(
        "", _IN_PLACE + "/tensorboards/{whole_number}", {"name": "{id}"}, frozenset({"region", "encryptionSpec"})
    ),
    "gcp:vertex/aiPersistentResource:AiPersistentResource": Form(
        "name",
        _IN_PLACE + "/persistentResources/{name}",
        {},
        frozenset({"name", "location", "network", "encryptionSpec"}),
    ),
    "gcp:secretmanager/secret:Secret": Form(
        "",
        f"{_OF_PROJECT}/secrets/{{secretId}}",
        {"name": "projects/{number}/secrets/{secretId}"},
        frozenset({"secretId", "replication"}),
    ),
    "gcp:secretmanager/secretIamMember:SecretIamMember": _member("secretId"),
    "gcp:compute/network:Network": _compute("networks", "autoCreateSubnetworks", "description"),
    "gcp:compute/subnetwork:Subnetwork": _compute(
        "subnetworks", "network", "ipCidrRange", "region", place="regions/{region}"
    ),
    "gcp:compute/router:Router": _compute("routers", "network", "region", place="regions/{region}"),
    "gcp:compute/firewall:Firewall": _compute("firewalls", "network", "direction"),
    "gcp:compute/globalAddress:GlobalAddress": _compute("addresses", "network", "purpose", "prefixLength"),
    "gcp:compute/networkAttachment:NetworkAttachment": _compute(
        "networkAttachments", "connectionPreference", "region", place="regions/{region}"
    ),
    "gcp:compute/routerNat:RouterNat": Form(
        "name", "{project}/{region}/{router}/{name}", {}, frozenset({"name", "router", "region"})
    ),
    "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": Form(
        "name",
        _IN_PLACE + "/serviceConnectionPolicies/{name}",
        {},
        frozenset({"name", "location", "network", "serviceClass"}),
    ),
    "gcp:billing/budget:Budget": Form(
        "", "billingAccounts/{billingAccount}/budgets/{uuid}", {"name": "{id}"}, frozenset({"billingAccount"})
    ),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": Form(
        "",
        "projects/{project}/locations/{location}/buckets/{bucketId}",
        {"name": "{id}"},
        frozenset({"bucketId", "location", "project"}),
    ),
    "gcp:projects/serviceIdentity:ServiceIdentity": Form(
        "",
        "projects/{project}/services/{service}",
        {"email": _AGENT, "member": f"serviceAccount:{_AGENT}"},
        frozenset({"service", "project"}),
    ),
    "gcp:projects/iAMAuditConfig:IAMAuditConfig": Form(
        "", "{project}/audit_config/{service}", {"etag": "{digits}"}, frozenset({"project", "service"})
    ),
    "gcp:logging/projectSink:ProjectSink": Form(
        "name",
        f"{_OF_PROJECT}/sinks/{{name}}",
        {"writerIdentity": "serviceAccount:service-{number}@gcp-sa-logging.iam.gserviceaccount.com"},
        frozenset({"name"}),
    ),
    "gcp:monitoring/alertPolicy:AlertPolicy": Form("", f"{_OF_PROJECT}/alertPolicies/{{digits}}", {"name": "{id}"}),
    "gcp:monitoring/notificationChannel:NotificationChannel": Form(
        "", f"{_OF_PROJECT}/notificationChannels/{{digits}}", {"name": "{id}"}, frozenset({"type"})
    ),
    "gcp:monitoring/dashboard:Dashboard": Form("", f"{_OF_PROJECT}/dashboards/{{uuid}}"),
    "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": Form(
        "",
        _POOL,
        {"name": "projects/{number}/locations/global/workloadIdentityPools/{workloadIdentityPoolId}"},
        frozenset({"workloadIdentityPoolId", "mode"}),
    ),
    "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": Form(
        "",
        _POOL + "/providers/{workloadIdentityPoolProviderId}",
        {},
        frozenset({"workloadIdentityPoolId", "workloadIdentityPoolProviderId"}),
    ),
}


def _default(_token: str) -> Form:
    """A named resource of a location."""
    return Form("name", _IN_PLACE + "/{kind}/{name}", {}, frozenset({"name", "location", "region"}))


def _facts(resource: Resource) -> Mapping[str, Any]:
    config, inputs = resource.config, resource.inputs
    region = inputs.get("region") or config.get("region", "")
    kind = resource.token.rpartition(":")[2]
    condition = inputs.get("condition")
    return {
        "project": config.get("project", ""),
        "region": region,
        "location": inputs.get("location") or region or "global",
        "agent": str(inputs.get("service", "")).partition(".")[0],
        "narrowed": f"/{condition['title']}" if condition else "",
        "kind": kind[0].lower() + kind[1:] + "s",
        "number": _NUMBER,
        "whole_number": str(int(digest(resource.token, resource.logical)[:16], 16)),
    }


def _client(_: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "project": config.get("project"),
        "region": config.get("region"),
        "zone": config.get("zone"),
        "accessToken": "",
        "defaultLabels": {},
        "id": "client",
    }


def _project(asked: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    project = asked.get("projectId") or config.get("project", "")
    return {
        "projectId": project,
        "name": project,
        "number": _NUMBER,
        "id": f"projects/{project}",
        "orgId": "",
        "folderId": "",
        "billingAccount": "",
        "autoCreateNetwork": False,
        "skipDelete": False,
        "deletionPolicy": "PREVENT",
        "labels": {},
        "effectiveLabels": {},
        "pulumiLabels": {},
        "tags": {},
    }


def _storage_agent(asked: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    address = f"service-{_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
    return {
        "project": asked.get("project") or config.get("project", ""),
        "id": address,
        "emailAddress": address,
        "member": f"serviceAccount:{address}",
    }


def _told_back(inputs: Mapping[str, Any]) -> dict[str, Any]:
    if "labels" not in inputs:
        return dict(inputs)
    return {**inputs, "effectiveLabels": inputs["labels"], "pulumiLabels": inputs["labels"]}


PACKAGE = Package(
    name="gcp",
    forms=FORMS,
    default=_default,
    facts=_facts,
    functions={
        "gcp:organizations/getClientConfig:getClientConfig": _client,
        "gcp:organizations/getProject:getProject": _project,
        "gcp:storage/getProjectServiceAccount:getProjectServiceAccount": _storage_agent,
    },
    required=("project",),
    replaced_by=frozenset({"project"}),
    told_back=_told_back,
)
