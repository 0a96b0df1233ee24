"""What exists already is read, used and left as it is, on the real engine: all that each cloud's stack can adopt.

It is made beforehand as somebody else makes it: by the emulator's own interfaces, and what no emulator plays in the
stand-ins' books. `prod` adopts most: it has keys of its own, a network and private names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.aws.provisioning.cloud import Cloud as AwsCloud
from mlinfra.emulator.azure import AzureEmulator
from mlinfra.emulator.azure.provisioning.cloud import Cloud as AzureCloud
from mlinfra.emulator.gcp.provisioning.cloud import Cloud as GcpCloud
from mlinfra.emulator.providers.rules import PACKAGES
from mlinfra.emulator.providers.rules.forms import Resource, computed
from mlinfra.emulator.providers.state import Kept
from mlinfra.emulator.provisioning import Declared
from mlinfra.engine import doctor
from mlinfra.engine.folders import Folders
from mlinfra.environment import parse
from mlinfra.infra.azure.configuration import ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from conftest import Site

IDENTITIES = ("trainer", "server", "deployer", "approver", "ci")
USES = ("artefacts", "data", "captures", "approvals")


@dataclass(frozen=True)
class Theirs:
    """What was there before the stack: its place under `adopt`, its ids in the engine's state, how it looks now.

    `principals` are those of identities, to which the stack gives rights: by the name that the cloud decides by.
    """

    adopt: dict[str, Any]
    ids: frozenset[str]
    looks: Callable[[], dict[str, Any]]
    principals: frozenset[str] = frozenset()


def in_the_books(site: Site, token: str, native_id: str, **inputs: Any) -> str:
    """Something that the stand-ins alone know, as if another stack had made it. Returns its id."""
    package = PACKAGES[site.package]
    chosen = computed(package, Resource(token, "theirs", inputs, {}), native_id)
    site.providers.state.put(Kept(token, native_id, inputs, {**chosen, **inputs}))
    return native_id


def leaves(value: Any) -> Iterator[str]:
    """The texts in a structure."""
    if isinstance(value, str):
        yield value
        return
    for each in value.values() if isinstance(value, dict) else value:
        yield from leaves(each)


def theirs_on_aws(site: Site) -> Theirs:
    cloud = AwsCloud(site.emulator)
    buckets = {use: f"acme-{use}" for use in (*USES, "access-logs")}
    for name in buckets.values():
        cloud.call("s3", "CreateBucket", Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        cloud.call("s3", "PutBucketTagging", Bucket=name, Tagging={"TagSet": [{"Key": "Team", "Value": "Acme"}]})
    cloud.call("s3", "PutObject", Bucket=buckets["data"], Key="credit.csv", Body=b"age,home\n41,rent\n")
    key = cloud.call("kms", "CreateKey", Description="acme")["KeyMetadata"]["Arn"]
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    roles = {
        each: cloud.call("iam", "CreateRole", RoleName=f"acme-{each}", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for each in IDENTITIES
        if each != "ci"  # it is made, so that it trusts the signer that exists
    }
    issuer = "https://token.actions.githubusercontent.com"
    signer = cloud.call(
        "iam", "CreateOpenIDConnectProvider", Url=issuer, ClientIDList=["sts.amazonaws.com"], ThumbprintList=[]
    )["OpenIDConnectProviderArn"]
    network = {
        "vpc": in_the_books(site, "aws:ec2/vpc:Vpc", "vpc-0a", cidrBlock="10.0.0.0/16"),
        "subnets": [in_the_books(site, "aws:ec2/subnet:Subnet", "subnet-0a", vpcId="vpc-0a")],
        "security_groups": [in_the_books(site, "aws:ec2/securityGroup:SecurityGroup", "sg-0a", vpcId="vpc-0a")],
    }
    topic = in_the_books(site, "aws:sns/topic:Topic", "arn:aws:sns:eu-west-1:111122223333:acme", name="acme")

    def looks() -> dict[str, Any]:
        asked = [
            *(("s3", each, {"Bucket": name}) for name in buckets.values() for each in _OF_BUCKETS),
            *(("kms", each, {"KeyId": key}) for each in ("DescribeKey", "GetKeyRotationStatus", "ListGrants")),
            ("kms", "GetKeyPolicy", {"KeyId": key, "PolicyName": "default"}),
            *(("iam", each, {"RoleName": f"acme-{role}"}) for role in roles for each in _OF_ROLES),
            ("iam", "GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": signer}),
        ]
        return {
            f"{operation} {body}": {
                member: told
                for member, told in (cloud.found(service, operation, **body) or {}).items()
                if member != "ResponseMetadata"
            }
            for service, operation, body in asked
        }

    adopt = {
        "buckets": buckets,
        "key": key,
        "network": network,
        "roles": roles,
        "identity_providers": {"github": signer},
        "topic": topic,
    }
    names = {arn: arn.rpartition("/")[2] for arn in roles.values()}  # a role's id is its name
    return Theirs(adopt, frozenset(names.get(each, each) for each in leaves(adopt)), looks)


_OF_BUCKETS = (
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetBucketEncryption",
    "GetBucketPolicy",
    "GetBucketLifecycleConfiguration",
    "GetPublicAccessBlock",
    "ListObjectsV2",
)
_OF_ROLES = ("GetRole", "ListRolePolicies", "ListAttachedRolePolicies")


def theirs_on_gcp(site: Site) -> Theirs:
    cloud = GcpCloud(site.emulator)
    buckets = {use: f"acme-{use}" for use in USES}
    for name in buckets.values():
        body = {"name": name, "location": "europe-west4", "labels": {"team": "acme"}}
        cloud.call("POST", "/storage/v1/b", body, project=cloud.project)
    accounts = {
        each: cloud.call("POST", f"/v1/projects/{cloud.project}/serviceAccounts", {"accountId": f"acme-{each}"})["name"]
        for each in IDENTITIES
    }
    shared = "projects/shared"
    ring = "projects/keys/locations/europe-west4/keyRings/acme"
    network = f"{shared}/global/networks/acme"
    adopt = {
        "buckets": buckets,
        "key": in_the_books(site, "gcp:kms/cryptoKey:CryptoKey", f"{ring}/cryptoKeys/acme", name="acme", keyRing=ring),
        "network": {
            "network": in_the_books(site, "gcp:compute/network:Network", network, name="acme"),
            "subnetwork": in_the_books(
                site,
                "gcp:compute/subnetwork:Subnetwork",
                f"{shared}/regions/europe-west4/subnetworks/acme",
                name="acme",
                network=network,
            ),
        },
        "service_accounts": {each: name.rpartition("/")[2] for each, name in accounts.items()},
        "identity_pool": in_the_books(
            site,
            "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
            "projects/111122223333/locations/global/workloadIdentityPools/acme",
            workloadIdentityPoolId="acme",
        ),
    }

    def looks() -> dict[str, Any]:
        paths = [
            *(f"/storage/v1/b/{name}" for name in buckets.values()),
            *(f"/v1/{name}" for name in accounts.values()),
        ]
        return {path: cloud.found(path) for path in paths}

    by_email = {name.rpartition("/")[2]: name for name in accounts.values()}
    return Theirs(adopt, frozenset(by_email.get(each, each) for each in leaves(adopt)), looks, frozenset(by_email))


def theirs_on_azure(site: Site) -> Theirs:
    emulator = site.emulator
    assert isinstance(emulator, AzureEmulator)
    cloud = AzureCloud(emulator)
    group, central = emulator.place.group("acme"), emulator.place.group("central")
    for each in (group, central):
        cloud.put(each, _GROUPS, {"location": "westeurope", "tags": {"Team": "Acme"}})
    accounts = {each: f"{central}/providers/Microsoft.Storage/storageAccounts/acme{each}" for each in ("kept", "data")}
    for each, native_id in accounts.items():
        emulator.place.settle(native_id)
        emulator.storage.create_account(f"acme{each}")
    identities = {
        each: f"{central}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/acme-{each}" for each in IDENTITIES
    }
    for native_id in identities.values():
        cloud.put(native_id, _PEOPLE, {"location": "westeurope", "tags": {"Team": "Acme"}})
    workspace = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/acme-risk"
    parts = {"storageAccount": accounts["kept"]}
    cloud.put(workspace, _LEARNING, {"location": "westeurope", "properties": parts, "tags": {"Team": "Acme"}})
    hub = f"{emulator.place.group('hub')}/providers/Microsoft.Network"
    vaults = f"{central}/providers/Microsoft.KeyVault/vaults"
    adopt = {
        "resource_group": "acme",
        "storage_account": accounts["kept"],
        "data_account": accounts["data"],
        "identities": identities,
        "workspace": workspace,
        "key_vault": in_the_books(site, "azure-native:keyvault:Vault", f"{vaults}/acme-risk", vaultName="acme-risk"),
        "key": in_the_books(
            site,
            "azure-native:keyvault:Key",
            f"{vaults}/acme-keys/keys/storage",
            vaultName="acme-keys",
            keyName="storage",
        ),
        "registry": in_the_books(
            site,
            "azure-native:containerregistry:Registry",
            f"{central}/providers/Microsoft.ContainerRegistry/registries/acmerisk",
            registryName="acmerisk",
        ),
        "log_analytics": in_the_books(
            site,
            "azure-native:operationalinsights:Workspace",
            f"{central}/providers/Microsoft.OperationalInsights/workspaces/acme",
            workspaceName="acme",
        ),
        "network": {
            "subnet": in_the_books(
                site,
                "azure-native:network:Subnet",
                f"{hub}/virtualNetworks/hub/subnets/endpoints",
                virtualNetworkName="hub",
                subnetName="endpoints",
            ),
            "zones": {
                kind: in_the_books(
                    site, "azure-native:privatedns:PrivateZone", f"{hub}/privateDnsZones/{zone}", privateZoneName=zone
                )
                for kind, zone in ZONES.items()
            },
        },
    }

    def looks() -> dict[str, Any]:
        shelf = emulator.storage.shelf
        return {
            **{each: cloud.found(each, _GROUPS) for each in (group, central)},
            **{each: cloud.found(each, _PEOPLE) for each in identities.values()},
            workspace: cloud.found(workspace, _LEARNING),
            **{each: f"acme{each}" in shelf.accounts() for each in accounts},
        }

    principals = frozenset(found.object_id for each in identities.values() if (found := emulator.principals.find(each)))
    return Theirs(adopt, frozenset(leaves(adopt)) - {"acme"} | {group}, looks, principals)


_GROUPS, _PEOPLE, _LEARNING = "2022-09-01", "2023-01-31", "2025-12-01"  # versions of Azure's interfaces
THEIRS: Mapping[str, Callable[[Site], Theirs]] = {
    "aws": theirs_on_aws,
    "azure": theirs_on_azure,
    "gcp": theirs_on_gcp,
}


def recorded(site: Site) -> tuple[set[str], set[str]]:
    """The ids in the engine's state: of what it only reads, and of what it made."""
    state = json.loads(site.clone.pulumi("stack", "export", "--stack", site.stack))["deployment"]
    ours = [each for each in state["resources"] if each["type"].startswith(f"{site.package}:")]
    return {each["id"] for each in ours if each.get("external")}, {
        each["id"] for each in ours if not each.get("external")
    }


def may(site: Site, principals: frozenset[str]) -> frozenset[str]:
    """Who of some principals may do anything at all."""
    emulator: Any = site.emulator
    return frozenset(each for each in principals if any(emulator.policy.policies(each).values()))


def still_there(site: Site, made: list[Kept]) -> list[str]:
    """What of some resources the emulator still has."""
    assert site.provisioner is not None
    known = [each for each in made if site.provisioner.knows(each.token)]
    declared = [Declared(each.token, each.inputs, each.id, each.outputs) for each in known]
    return [each.id for each in declared if site.provisioner.read(each) is not None]


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["aws", "azure", "gcp"])
def test_all_that_can_exist_already_is_read_used_and_left_as_it_is(
    site: Callable[[str, str], Site], platform: str, tmp_path: Path
):
    it = site(platform, "prod")
    theirs = THEIRS[platform](it)
    books, looks = it.providers.state.all(), theirs.looks()
    it.clone.configure(adopt=theirs.adopt)

    first = it.up()
    assert set(first.changes) == {"create", "read"}
    read, made = recorded(it)
    assert read == theirs.ids
    assert not made & theirs.ids
    environment = parse(first.environment)
    assert set(environment.identities) == set(IDENTITIES)
    assert may(it, theirs.principals) == theirs.principals
    if theirs.principals:  # roles of AWS bring their own rights
        assert it.emulator is not None
        looked = doctor.examine(it.emulator.seed(environment), Folders(tmp_path / "state", tmp_path / "project"))
        assert [each for each in looked if each.verdict is doctor.Verdict.ILL] == []

    it.quiet()
    it.quiet(refresh=True)
    assert it.up(refresh=True).changed == {}
    assert theirs.looks() == looks
    ours = [each for each in it.providers.state.all() if each not in books]
    assert not {each.id for each in ours} & theirs.ids

    it.destroy()
    assert it.providers.state.all() == books
    assert theirs.looks() == looks
    assert may(it, theirs.principals) == frozenset()
    assert still_there(it, ours) == []
