"""The roles and assignments to hand to an administrator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.environment import StoreLocation
from mlinfra_azure.config import permissions, policy

if TYPE_CHECKING:
    from mlinfra.environment import AzureEnvironment

ACTION = re.compile(r"Microsoft\.\w+(/\w+)+/(read|write|delete|action)")


def assigned(document: dict[str, Any], identity: str, task: str) -> list[dict[str, Any]]:
    return [each for each in document["assignments"] if each["role"].endswith(f"-{identity}-{task}")]


def test_every_role_is_assigned_and_every_assignment_has_its_role(environment: AzureEnvironment):
    document = policy(environment)
    assert {each["role"] for each in document["assignments"]} == set(document["roles"])
    for own, role in document["roles"].items():
        assert role["Name"] == own
        assert len(own) <= 512  # of a role definition
        assert all(ACTION.fullmatch(each) for each in (*role["Actions"], *role["DataActions"])), role
        assert role["Actions"] or role["DataActions"]


def test_no_role_reaches_the_subscription_and_only_scaling_the_whole_group(environment: AzureEnvironment):
    group = f"/subscriptions/{environment.account}/resourceGroups/{environment.resource_group}"
    for each in policy(environment)["assignments"]:
        assert each["scope"].startswith(group)
        assert each["scope"] != group or each["role"].endswith("-caller-scaling")


def test_blobs_are_narrowed_to_their_containers(environment: AzureEnvironment):
    document = policy(environment)
    group = f"/subscriptions/{environment.account}/resourceGroups/risk"
    containers = f"{group}/providers/Microsoft.Storage/storageAccounts/risk/blobServices/default/containers"
    (artefacts,) = assigned(document, "trainer", "artefacts")
    assert artefacts["scope"] == f"{containers}/artefacts"
    assert artefacts["assignee"] == environment.identities["trainer"]
    elsewhere = StoreLocation(
        uri="https://theirs.blob.core.windows.net/data", options={"account": "/subscriptions/x/a"}
    )
    moved = environment.model_copy(update={"stores": {**environment.stores, "data": elsewhere}})
    (data,) = assigned(policy(moved), "trainer", "data")
    assert data["scope"] == "/subscriptions/x/a/blobServices/default/containers/data"


def test_whoever_submits_reads_decisions_and_writes_none(environment: AzureEnvironment):
    document = policy(environment)
    (read,) = assigned(document, "caller", "decisions")
    assert [each.rpartition("/")[2] for each in document["roles"][read["role"]]["DataActions"]] == ["read"]
    assert not [each for each in assigned(document, "caller", "objects") if each["scope"].endswith("/approvals")]
    (write,) = assigned(document, "approver", "decisions")
    assert write["scope"].endswith("/containers/approvals")


def test_handing_over_an_identity_is_asked_on_that_identity_alone(environment: AzureEnvironment):
    scopes = [each["scope"] for each in assigned(policy(environment), "caller", "identities")]
    assert scopes == [environment.identities[name] for name in ("server", "trainer")]


def test_a_shared_registry_is_asked_for_where_there_is_one(environment: AzureEnvironment):
    assert assigned(policy(environment), "caller", "registry") == []
    shared = environment.model_copy(update={"registry": "shared"})
    (registry,) = assigned(policy(shared), "caller", "registry")
    assert registry["scope"].endswith("/registries/shared")


def test_azures_cli_can_make_it_all(environment: AzureEnvironment):
    document = policy(environment)
    create = [each for each in document["commands"] if each.startswith("az role definition create ")]
    assign = [each for each in document["commands"] if each.startswith("az role assignment create ")]
    assert (len(create), len(assign)) == (len(document["roles"]), len(document["assignments"]))
    nobody = policy(environment.model_copy(update={"identities": {}}))
    assert any("<trainer>" in each for each in nobody["commands"])


def test_every_identity_gets_its_permissions(environment: AzureEnvironment):
    found = permissions(environment)
    assert set(found) == {"caller", "trainer", "server", "approver"}
    assert "Microsoft.MachineLearningServices/workspaces/jobs/write" in found["caller"]
    assert not [each for each in found["server"] if "MachineLearningServices" in each]
    assert "Microsoft.KeyVault/vaults/secrets/getSecret/action" in found["trainer"]
    without = environment.model_copy(update={"vaults": {}})
    assert "Microsoft.KeyVault/vaults/secrets/getSecret/action" not in permissions(without)["trainer"]
