"""What a killed run left open: read from an exported state, settled in it, asked for where nothing tells."""

from __future__ import annotations

from typing import Any

import pytest

from mlinfra.errors import Conflict
from mlinfra.infra.automation import pending
from mlinfra.infra.automation.identities import identity

URN = "urn:pulumi:s::p::{type}::{name}"


def resource(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": URN.format(type=kind, name=name), "type": kind, "custom": True, **more}


BUCKET = resource("aws:s3/bucket:Bucket", "artefacts", inputs={"bucket": "artefacts-1f3e"})
KEY = resource("aws:kms/key:Key", "key", inputs={"description": "k"})
FOLDER = resource("pulumi-python:dynamic/mlinfra:Folder", "folder", inputs={"root": "/x"})


def state(*operations: tuple[str, dict[str, Any]], resources: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    entries = [{"type": kind, "resource": subject} for kind, subject in operations]
    return {"resources": list(resources), "pending_operations": entries}


def test_nothing_open_is_nothing_to_settle():
    assert pending.read({"resources": [BUCKET]}, {}) == []


def test_a_create_is_looked_up_by_the_id_that_its_inputs_give():
    before = state(("creating", BUCKET))
    operations = pending.read(before, {})
    assert operations[0].told == "artefacts (aws:s3/bucket:Bucket) was being created"
    settled = pending.settle(before, operations)
    assert "pending_operations" not in settled
    assert settled["resources"][0]["id"] == "artefacts-1f3e"
    assert pending.to_refresh(settled, operations) == [BUCKET["urn"]]
    assert before["pending_operations"], "the state that was read is left as it was"


def test_a_replacement_that_may_be_there_condemns_what_it_replaces():
    old = {**BUCKET, "id": "artefacts-old"}
    before = state(("creating", BUCKET), resources=(old,))
    settled = pending.settle(before, pending.read(before, {}))
    assert [(each["id"], each.get("delete", False)) for each in settled["resources"]] == [
        ("artefacts-old", True),
        ("artefacts-1f3e", False),
    ]


@pytest.mark.parametrize("kind", ["updating", "deleting", "reading"])
def test_what_was_being_changed_or_removed_is_read_again(kind: str):
    there = {**BUCKET, "id": "artefacts-1f3e"}
    before = state((kind, there), resources=(there,))
    operations = pending.read(before, {})
    settled = pending.settle(before, operations)
    assert settled["resources"] == [there]
    assert pending.to_refresh(settled, operations) == [BUCKET["urn"]]


def test_an_orphan_that_nothing_identifies_is_asked_for():
    operations = pending.read(state(("creating", KEY)), {})
    with pytest.raises(Conflict) as caught:
        pending.check(operations, {})
    assert KEY["urn"] in str(caught.value)
    assert "--found" in str(caught.value)


@pytest.mark.parametrize(("answer", "resources"), [("1234-abcd", ["1234-abcd"]), ("", [])])
def test_its_user_says_what_became_of_it(answer: str, resources: list[str]):
    before, answers = state(("creating", KEY)), {KEY["urn"]: answer}
    operations = pending.read(before, answers)
    pending.check(operations, answers)
    assert [each["id"] for each in pending.settle(before, operations)["resources"]] == resources


def test_an_answer_overrules_the_table():
    before, answers = state(("creating", BUCKET)), {BUCKET["urn"]: ""}
    assert pending.settle(before, pending.read(before, answers))["resources"] == []


def test_the_local_stacks_own_creates_find_what_is_there_by_themselves():
    before = state(("creating", FOLDER))
    operations = pending.read(before, {})
    pending.check(operations, {})
    assert pending.settle(before, operations)["resources"] == []


GROUP = {"resourceGroupName": "mlinfra-risk"}
MEMBER = {"bucket": "acme", "role": "roles/storage.objectUser", "member": "serviceAccount:a@b"}
ACCOUNT = "/subscriptions/0-1/resourceGroups/mlinfra-risk/providers/Microsoft.Storage/storageAccounts/kept"
IN_PROJECT = {"project": "acme-risk", "region": "europe-west4"}
IN_ACCOUNT = {"allowedAccountIds": '["111122223333"]', "region": "eu-west-1"}


@pytest.mark.parametrize(
    ("kind", "inputs", "provider", "expected"),
    [
        (
            "gcp:artifactregistry/repository:Repository",
            {"location": "europe-west4", "repositoryId": "own"},
            IN_PROJECT,
            "projects/acme-risk/locations/europe-west4/repositories/own",
        ),
        ("gcp:projects/service:Service", {"project": "other", "service": "s"}, IN_PROJECT, "other/s"),
        (
            "gcp:storage/bucketIAMMember:BucketIAMMember",
            MEMBER,
            IN_PROJECT,
            "b/acme/roles/storage.objectUser/serviceAccount:a@b",
        ),
        (
            "gcp:storage/bucketIAMMember:BucketIAMMember",
            {**MEMBER, "condition": {"title": "own", "expression": "…"}},
            IN_PROJECT,
            "b/acme/roles/storage.objectUser/serviceAccount:a@b/own",
        ),
        ("aws:sns/topic:Topic", {"name": "alarms"}, IN_ACCOUNT, "arn:aws:sns:eu-west-1:111122223333:alarms"),
        ("aws:sns/topic:Topic", {"name": "alarms"}, {}, ""),
        (
            "aws:iam/openIdConnectProvider:OpenIdConnectProvider",
            {"url": "https://gitlab.com/"},
            {**IN_ACCOUNT, "region": "us-gov-west-1"},
            "arn:aws-us-gov:iam::111122223333:oidc-provider/gitlab.com",
        ),
        (
            "azure-native:storage:BlobContainer",
            {**GROUP, "accountName": "kept", "containerName": "data"},
            {"subscriptionId": "0-1"},
            f"{ACCOUNT}/blobServices/default/containers/data",
        ),
        ("gcp:vertex/aiTensorboard:AiTensorboard", {"displayName": "t"}, IN_PROJECT, ""),
    ],
)
def test_an_id_follows_from_the_inputs_and_the_providers(
    kind: str, inputs: dict[str, Any], provider: dict[str, Any], expected: str
):
    assert identity(kind, inputs, provider) == expected


def test_the_provider_of_an_open_create_is_found_in_the_state():
    provider = resource("pulumi:providers:gcp", "gcp", id="77", inputs=IN_PROJECT)
    account = resource("gcp:serviceaccount/account:Account", "trainer", inputs={"accountId": "trainer"})
    asked = {**account, "provider": f"{provider['urn']}::77"}
    (operation,) = pending.read(state(("creating", asked), resources=(provider,)), {})
    assert operation.id == "projects/acme-risk/serviceAccounts/trainer@acme-risk.iam.gserviceaccount.com"
