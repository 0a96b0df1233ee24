"""Resources of a stack in the emulated project: really there, found changed, and gone with all that they hold."""

from __future__ import annotations

import pytest

from mlinfra.emulator.provisioning import Declared, Refused

BUCKET = "gcp:storage/bucket:Bucket"
ACCOUNT = "gcp:serviceaccount/account:Account"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
REPOSITORY = "gcp:artifactregistry/repository:Repository"
SECRET = "gcp:secretmanager/secret:Secret"  # noqa: S105  a resource's type
POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
LABELS = {"mlinfra_environment": "1a2b3c"}
CONDITION = {
    "displayName": "errors above 1",
    "conditionThreshold": {
        "filter": 'resource.type = "aiplatform.googleapis.com/Endpoint"'
        ' AND metric.type = "aiplatform.googleapis.com/prediction/online/error_count"',
        "comparison": "COMPARISON_GT",
        "thresholdValue": 1.0,
        "duration": "120s",
    },
}


@pytest.fixture
def cloud(emulator):
    package, made_by = emulator.provisioner()
    assert package == "gcp"
    return made_by


def bucket(**inputs) -> Declared:
    given = {"name": "acme-data", "location": "europe-west4", "labels": LABELS, **inputs}
    return Declared(BUCKET, given, "acme-data")


def account(emulator, own: str = "trainer") -> Declared:
    email = f"{own}@{emulator.project}.iam.gserviceaccount.com"
    return Declared(ACCOUNT, {"accountId": own}, f"projects/{emulator.project}/serviceAccounts/{email}")


def member(emulator, cloud, permission: str, condition: str = "", on: str = PROJECT_MEMBER) -> Declared:
    """A binding of a role of its own with one permission to the trainer, made."""
    role = f"projects/{emulator.project}/roles/own"
    cloud.create(Declared(ROLE, {"roleId": "own", "permissions": [permission]}, role))
    cloud.create(account(emulator))
    where = {"project": emulator.project} if on == PROJECT_MEMBER else {"bucket": "acme-data"}
    narrowed = {"condition": {"title": "own", "expression": condition}} if condition else {}
    who = f"serviceAccount:trainer@{emulator.project}.iam.gserviceaccount.com"
    declared = Declared(on, {**where, "role": role, "member": who, **narrowed}, "expected")
    cloud.create(declared)
    return declared


def holds(emulator, permission: str, resource: str) -> bool:
    who = f"trainer@{emulator.project}.iam.gserviceaccount.com"
    return emulator.policy.decide(who, permission, resource).allowed


class TestBuckets:
    def test_one_goes_with_all_that_it_holds(self, cloud, emulator):
        cloud.create(bucket(forceDestroy=True))
        for name in ("a", "b/c d"):
            emulator.storage.write(f"gs://acme-data/{name}", b"text")
        cloud.delete(bucket(forceDestroy=True))
        assert cloud.read(bucket()) is None
        cloud.delete(bucket(forceDestroy=True))

    def test_one_that_may_not_lose_what_it_holds_stays(self, cloud, emulator):
        cloud.create(bucket())
        emulator.storage.write("gs://acme-data/a", b"text")
        with pytest.raises(Refused, match="not empty"):
            cloud.delete(bucket())
        assert cloud.read(bucket()) is not None

    def test_a_second_one_of_a_name_is_told_to_exist(self, cloud):
        cloud.create(bucket())
        with pytest.raises(Refused) as caught:
            cloud.create(bucket())
        assert caught.value.exists

    def test_what_somebody_switched_off_is_read_as_it_is_and_mended(self, cloud, emulator):
        declared = bucket(versioning={"enabled": True}, publicAccessPrevention="enforced")
        cloud.create(declared)
        assert cloud.read(declared) == {
            "labels": LABELS,
            "versioning": {"enabled": True},
            "publicAccessPrevention": "enforced",
        }
        emulator.storage.shelf.patch_bucket("acme-data", {"versioning": {"enabled": False}})
        assert cloud.read(declared)["versioning"] == {"enabled": False}
        cloud.update(declared, declared.inputs)
        assert cloud.read(declared)["versioning"] == {"enabled": True}

    def test_labels_of_others_stay_and_are_not_told(self, cloud, emulator):
        cloud.create(bucket())
        emulator.storage.shelf.patch_bucket("acme-data", {"labels": {"theirs": "1"}})
        changed = bucket(labels={"team": "risk"})
        cloud.update(changed, bucket().inputs)
        assert emulator.storage.shelf.bucket("acme-data").settings["labels"] == {"theirs": "1", "team": "risk"}
        assert cloud.read(changed) == {"labels": {"team": "risk"}}


class TestBindings:
    def test_a_member_may_what_the_role_says_until_it_is_removed(self, cloud, emulator):
        declared = member(emulator, cloud, "aiplatform.models.get")
        assert holds(emulator, "aiplatform.models.get", f"projects/{emulator.project}/locations/x/models/1")
        assert cloud.read(declared) == {}
        cloud.delete(declared)
        assert not holds(emulator, "aiplatform.models.get", f"projects/{emulator.project}/locations/x/models/1")
        assert cloud.read(declared) is None
        cloud.delete(declared)

    def test_a_condition_narrows_it_to_the_objects_below_a_prefix(self, cloud, emulator):
        objects = "projects/_/buckets/acme-data/objects"
        condition = f'resource.name.startsWith("{objects}/jobs/")'
        member(emulator, cloud, "storage.objects.get", condition, BUCKET_MEMBER)
        assert holds(emulator, "storage.objects.get", f"{objects}/jobs/1")
        assert not holds(emulator, "storage.objects.get", f"{objects}/models/1")

    def test_a_condition_may_name_the_project_by_its_number(self, cloud, emulator):
        condition = f'resource.name.startsWith("projects/{emulator.project_number}/secrets/own-")'
        member(emulator, cloud, "secretmanager.versions.access", condition)
        secrets = f"projects/{emulator.project}/secrets"
        assert holds(emulator, "secretmanager.versions.access", f"{secrets}/own-key/versions/1")
        assert not holds(emulator, "secretmanager.versions.access", f"{secrets}/theirs/versions/1")

    def test_a_condition_that_is_not_understood_is_refused(self, cloud, emulator):
        with pytest.raises(Refused, match="not emulated"):
            member(emulator, cloud, "storage.objects.get", "request.time < timestamp('2030-01-01T00:00:00Z')")

    def test_a_role_that_goes_takes_its_bindings_with_it(self, cloud, emulator):
        declared = member(emulator, cloud, "aiplatform.models.get")
        role = Declared(ROLE, {"roleId": "own", "permissions": ["aiplatform.models.get"]}, declared.inputs["role"])
        assert cloud.read(role) == {}
        cloud.delete(role)
        assert (cloud.read(role), cloud.read(declared)) == (None, None)

    def test_a_changed_role_counts_at_once(self, cloud, emulator):
        declared = member(emulator, cloud, "aiplatform.models.get")
        wanted = Declared(ROLE, {"roleId": "own", "permissions": ["aiplatform.models.list"]}, declared.inputs["role"])
        assert cloud.read(wanted) == {"permissions": ["aiplatform.models.get"]}
        cloud.update(wanted, {})
        assert holds(emulator, "aiplatform.models.list", f"projects/{emulator.project}")
        assert not holds(emulator, "aiplatform.models.get", f"projects/{emulator.project}")


def test_an_account_is_found_by_its_id_and_gone_when_removed(cloud, emulator):
    made = cloud.create(account(emulator))
    assert made.id == account(emulator).id
    assert made.outputs["uniqueId"] == emulator.principals.unique_id(made.outputs["email"])
    with pytest.raises(Refused) as caught:
        cloud.create(account(emulator))
    assert caught.value.exists
    cloud.delete(account(emulator))
    assert cloud.read(account(emulator)) is None


def test_an_account_of_a_stack_keeps_the_rights_that_the_stack_gave_it(cloud, emulator):
    cloud.create(account(emulator))
    email = f"trainer@{emulator.project}.iam.gserviceaccount.com"
    for _ in range(2):
        emulator.environment("acme", identities={"trainer": email})
        assert emulator.policy.policies(email) == {}


def test_a_repository_changes_its_labels_in_place(cloud, emulator):
    where = f"projects/{emulator.project}/locations/europe-west4/repositories/own"
    inputs = {"repositoryId": "own", "location": "europe-west4", "format": "DOCKER", "labels": LABELS}
    declared = Declared(REPOSITORY, inputs, where)
    assert cloud.create(declared).id == where
    changed = Declared(REPOSITORY, {**inputs, "labels": {"team": "risk"}}, where)
    cloud.update(changed, inputs)
    assert cloud.read(changed) == {"labels": {"team": "risk"}}
    assert cloud.read(declared) == {"labels": {}}
    cloud.delete(changed)
    assert cloud.read(changed) is None


def test_a_secret_is_made_empty_and_goes_with_its_versions(cloud, emulator):
    inputs = {"secretId": "own-key", "replication": {"auto": {}}, "labels": LABELS}
    declared = Declared(SECRET, inputs, f"projects/{emulator.project}/secrets/own-key")
    cloud.create(declared)
    emulator.secrets.put("own-key", "value")
    assert cloud.read(declared) == {"labels": LABELS}
    cloud.update(Declared(SECRET, {**inputs, "labels": {}}, declared.id), inputs)
    assert cloud.read(declared) == {"labels": {}}
    cloud.delete(declared)
    assert cloud.read(declared) is None


def test_a_policy_has_the_services_own_name_and_is_told_as_it_was_declared(cloud):
    inputs = {"displayName": "errors", "combiner": "OR", "conditions": [CONDITION], "userLabels": LABELS}
    made = cloud.create(Declared(POLICY, inputs, "expected"))
    assert made.id == made.outputs["name"] != "expected"
    declared = Declared(POLICY, inputs, made.id)
    assert cloud.read(declared) == inputs
    louder = {**CONDITION, "conditionThreshold": {**CONDITION["conditionThreshold"], "thresholdValue": 2.0}}
    cloud.update(Declared(POLICY, {**inputs, "conditions": [louder]}, made.id), inputs)
    assert cloud.read(declared)["conditions"] == [louder]
    cloud.delete(declared)
    assert cloud.read(declared) is None


def test_a_shell_keeps_what_its_deployer_labels(cloud, emulator):
    where = f"projects/{emulator.project}/locations/{emulator.region}/endpoints/123456789"
    inputs = {"name": "123456789", "displayName": "credit", "location": emulator.region, "labels": LABELS}
    declared = Declared(ENDPOINT, {**inputs, "dedicatedEndpointEnabled": True}, where)
    assert cloud.create(declared).outputs["dedicatedEndpointDns"]
    endpoint = emulator.endpoints.get(where)
    endpoint.message.labels["theirs"] = "1"
    assert cloud.read(declared) == {"labels": LABELS, "displayName": "credit"}
    cloud.update(Declared(ENDPOINT, {**inputs, "labels": {"team": "risk"}}, where), inputs)
    assert dict(emulator.endpoints.get(where).message.labels) == {"theirs": "1", "team": "risk"}
    cloud.delete(declared)
    assert cloud.read(declared) is None
    assert emulator.leftovers() == []
