"""A resource's life in the stand-in providers, without an engine."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, ClassVar

import pytest

from mlinfra.emulator.providers import introspect
from mlinfra.emulator.providers.lifecycle import Exists, Gone, Lifecycle, Naming
from mlinfra.emulator.providers.rules import PACKAGES
from mlinfra.emulator.providers.rules.forms import Resource
from mlinfra.emulator.providers.state import State
from mlinfra.emulator.providers.values import UNKNOWN
from mlinfra.emulator.provisioning import Made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "aws:s3/bucket:Bucket"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
REGION = {"region": "eu-west-1"}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "providers.db")
    yield opened
    opened.close()


@pytest.fixture
def life(state: State) -> Lifecycle:
    return Lifecycle(PACKAGES["aws"], state)


def bucket(name: str = "risk-data", **more: object) -> Resource:
    return Resource(BUCKET, "data", {"bucket": name, **more}, REGION)


class TestNaming:
    def test_a_nameless_resource_gets_the_engines_proposal(self, life):
        named, _ = life.check(BUCKET, {}, {}, Naming("data", b"seed", proposed="data-1234567"))
        assert named["bucket"] == "data-1234567"

    def test_without_a_proposal_the_same_seed_gives_the_same_name(self, life):
        names = {life.check(BUCKET, {}, {}, Naming("data", b"seed"))[0]["bucket"] for _ in range(2)}
        other = life.check(BUCKET, {}, {}, Naming("data", b"another"))[0]["bucket"]
        assert len(names) == 1
        assert other not in names

    def test_a_resource_keeps_the_name_that_it_was_given(self, life):
        named, _ = life.check(BUCKET, {}, {"bucket": "data-old"}, Naming("data", b"seed", proposed="data-new"))
        assert named["bucket"] == "data-old"

    def test_none_is_made_up_where_the_project_forbids_it(self, life):
        named, _ = life.check(BUCKET, {}, {}, Naming("data", b"seed", forbidden=True))
        assert "bucket" not in named


class TestComparing:
    def test_tags_change_in_place(self, life):
        found = life.compare(BUCKET, {"bucket": "a", "tags": {"team": "risk"}}, {"bucket": "a"}, ())
        assert dict(found.changed) == {"tags": "delete"}
        assert not found.replaces

    def test_a_new_name_is_a_new_bucket(self, life):
        assert life.compare(BUCKET, {"bucket": "a"}, {"bucket": "b"}, ()).replaces == {"bucket"}

    def test_a_named_configuration_goes_before_its_successor_comes(self, life):
        old = {"name": "credit", "productionVariants": [{"modelName": "a"}]}
        new = {"name": "credit", "productionVariants": [{"modelName": "b"}]}
        found = life.compare(CONFIGURATION, old, new, ())
        assert found.replaces == {"productionVariants"}
        assert found.delete_first

    def test_what_is_ignored_does_not_change(self, life):
        assert not life.compare(BUCKET, {"tags": {"a": "1"}}, {"tags": {"a": "2"}}, ["tags"]).changed

    def test_a_secret_of_the_same_value_is_no_change(self, life):
        wrapped = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "risk"}
        assert not life.compare(BUCKET, {"bucket": "risk"}, {"bucket": wrapped}, ()).changed

    def test_what_is_not_known_yet_counts_as_a_change(self, life):
        assert "bucket" in life.compare(BUCKET, {"bucket": "risk"}, {"bucket": UNKNOWN}, ()).changed


class TestLife:
    def test_what_is_made_can_be_read_changed_and_removed(self, life, state):
        made = life.create(bucket(tags={"team": "risk"}), {"bucket": "risk-data", "tags": {"team": "risk"}})
        assert made.id == "risk-data"
        assert made.outputs["arn"] == "arn:aws:s3:::risk-data"
        changed = life.update(bucket(tags={"team": "data"}), made.id, {"bucket": "risk-data", "tags": {"team": "data"}})
        assert changed.outputs["tags"] == {"team": "data"}
        assert life.read(BUCKET, made.id) == changed
        life.delete(BUCKET, made.id)
        life.delete(BUCKET, made.id)
        assert state.all() == []

    def test_a_second_one_of_the_same_id_is_refused(self, life):
        life.create(bucket(), {"bucket": "risk-data"})
        with pytest.raises(Exists, match="risk-data"):
            life.create(bucket(), {"bucket": "risk-data"})

    def test_what_is_gone_cannot_be_changed(self, life):
        with pytest.raises(Gone, match="risk-data"):
            life.update(bucket(), "risk-data", {"bucket": "risk-data"})

    def test_a_preview_invents_no_output(self, life):
        told = life.preview(bucket(), {"bucket": "risk-data"})
        assert told["bucket"] == "risk-data"
        assert told["arn"] == UNKNOWN
        assert "tags" not in told

    @pytest.mark.usefixtures("state")
    def test_the_state_is_its_owners_alone(self, tmp_path):
        assert stat.S_IMODE((tmp_path / "providers.db").stat().st_mode) == 0o600


class TestInACloud:
    """Resources that an emulator knows live there; the providers' state follows it."""

    class Cloud:
        def __init__(self) -> None:
            self.there: dict[str, dict] = {}

        def knows(self, token):
            return token == BUCKET

        def create(self, declared):
            self.there["from-the-cloud"] = dict(declared.inputs)
            return Made("from-the-cloud", {"arn": "arn:aws:s3:::from-the-cloud"})

        def update(self, declared, _before):
            self.there[declared.id] = dict(declared.inputs)
            return {}

        def delete(self, declared):
            self.there.pop(declared.id, None)

        def read(self, declared):
            return self.there.get(declared.id)

    @pytest.fixture
    def cloud(self) -> Cloud:
        return self.Cloud()

    @pytest.fixture
    def life(self, state: State, cloud: Cloud) -> Lifecycle:
        return Lifecycle(PACKAGES["aws"], state, cloud)

    def test_its_id_and_outputs_are_the_clouds(self, life):
        made = life.create(bucket(), {"bucket": "risk-data"})
        assert (made.id, made.outputs["arn"]) == ("from-the-cloud", "arn:aws:s3:::from-the-cloud")

    def test_what_somebody_changed_there_is_read_as_drift(self, life, cloud):
        made = life.create(bucket(tags={"team": "risk"}), {"bucket": "risk-data", "tags": {"team": "risk"}})
        cloud.there[made.id]["tags"] = {"team": "others"}
        assert life.read(BUCKET, made.id).inputs["tags"] == {"team": "others"}

    def test_what_somebody_removed_there_is_gone(self, life, cloud, state):
        made = life.create(bucket(), {"bucket": "risk-data"})
        cloud.there.clear()
        assert life.read(BUCKET, made.id) is None
        assert state.all() == []

    def test_what_no_stack_made_is_told_and_not_kept(self, life, cloud, state):
        cloud.there["theirs"] = {"tags": {"team": "others"}}
        found = life.read(BUCKET, "theirs", REGION)
        assert found.inputs == {"bucket": "theirs", "tags": {"team": "others"}}
        assert found.outputs["arn"] == "arn:aws:s3:::theirs"
        assert life.read(BUCKET, "nobodys", REGION) is None
        assert state.all() == []

    def test_what_the_cloud_chose_for_a_strangers_resource_is_an_output_and_no_input(self, life, cloud):
        cloud.there["theirs"] = {"arn": "arn:aws:s3:::chosen"}
        found = life.read(BUCKET, "theirs", REGION)
        assert "arn" not in found.inputs
        assert found.outputs["arn"] == "arn:aws:s3:::chosen"


# An input of a resource that the kit's stacks make, whose change asks for another resource.
REPLACING = (
    ("aws:kms/alias:Alias", "name"),
    ("aws:ec2/flowLog:FlowLog", "logFormat"),
    ("aws:cloudwatch/logGroup:LogGroup", "logGroupClass"),
    ("aws:servicequotas/serviceQuota:ServiceQuota", "quotaCode"),
    ("azure-native:storage:StorageAccount", "isHnsEnabled"),
    ("azure-native:storage:StorageAccount", "location"),
    ("azure-native:storage:BlobContainer", "accountName"),
    ("azure-native:network:PrivateEndpoint", "subnet"),
    ("azure-native:machinelearningservices:OnlineDeployment", "deploymentName"),
    ("azure-native:machinelearningservices:EnvironmentVersion", "version"),
    ("azure-native:authorization:RoleAssignment", "principalId"),
    ("gcp:storage/bucket:Bucket", "location"),
    ("gcp:artifactregistry/repository:Repository", "location"),
    ("gcp:artifactregistry/repository:Repository", "kmsKeyName"),
    ("gcp:artifactregistry/repository:Repository", "remoteRepositoryConfig"),
    ("gcp:kms/cryptoKey:CryptoKey", "destroyScheduledDuration"),
    ("gcp:vertex/aiEndpoint:AiEndpoint", "location"),
    ("gcp:vertex/aiEndpoint:AiEndpoint", "privateServiceConnectConfig"),
    ("gcp:vertex/aiPersistentResource:AiPersistentResource", "encryptionSpec"),
    ("gcp:compute/firewall:Firewall", "direction"),
    ("gcp:compute/subnetwork:Subnetwork", "network"),
    ("gcp:iam/workloadIdentityPool:WorkloadIdentityPool", "mode"),
)


@pytest.mark.parametrize(("token", "changed"), REPLACING, ids=[f"{token} {name}" for token, name in REPLACING])
def test_an_input_that_cannot_change_asks_for_another_resource(state, token, changed):
    life = Lifecycle(PACKAGES[introspect.package_of(token)], state)
    assert life.compare(token, {changed: "a"}, {changed: "b"}, ()).replaces == {changed}
    assert not life.compare(token, {"tags": "a"}, {"tags": "b"}, ()).replaces


class TestOnAzure:
    """What its provider does otherwise: it deletes before it creates, and what lies in a resource goes with it."""

    ACCOUNT = "azure-native:storage:StorageAccount"
    CONTAINER = "azure-native:storage:BlobContainer"
    GROUP: ClassVar = {"resourceGroupName": "acme", "accountName": "acmedata"}

    @pytest.fixture
    def life(self, state: State) -> Lifecycle:
        return Lifecycle(PACKAGES["azure-native"], state)

    def test_the_old_one_goes_first_whatever_its_name_is(self, life):
        assert life.compare(self.ACCOUNT, {"accountName": "a"}, {"accountName": "b"}, ()).delete_first
        assert life.compare(self.ACCOUNT, {"location": "a"}, {"location": "b"}, ()).delete_first
        assert not life.compare(self.ACCOUNT, {"tags": "a"}, {"tags": "b"}, ()).delete_first

    def test_elsewhere_it_does_so_for_names_that_stay_alone(self, state):
        life = Lifecycle(PACKAGES["aws"], state)
        assert not life.compare(BUCKET, {"bucket": "a"}, {"bucket": "b"}, ()).delete_first

    def test_containers_go_with_their_account(self, life, state):
        for token, more in ((self.ACCOUNT, {}), (self.CONTAINER, {"containerName": "data"})):
            inputs = {**self.GROUP, **more}
            life.create(Resource(token, "data", inputs, {}), inputs)
        other = {**self.GROUP, "accountName": "acmedata2"}
        kept = life.create(Resource(self.ACCOUNT, "other", other, {}), other)
        (account,) = [each for each in state.all() if each.token == self.ACCOUNT and each.id != kept.id]
        life.delete(self.ACCOUNT, account.id)
        assert state.all() == [kept]


@pytest.mark.thorough
@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
def test_the_tables_speak_of_resources_and_inputs_that_the_package_has(package):
    everywhere = frozenset.intersection(*(frozenset(form.outputs) for form in package.forms.values()))
    for token, form in package.forms.items():
        inputs = introspect.members(introspect.arguments_class(token))
        assert {form.named_by} - {""} <= inputs.keys(), token
        assert form.outputs.keys() - everywhere <= introspect.outputs(token).keys(), token
        assert form.replaced_by <= inputs.keys(), token
