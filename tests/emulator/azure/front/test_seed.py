"""What is there once an environment is seeded, and what points clients at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlinfra.emulator.platforms import load
from mlinfra.environment import AwsEnvironment, parse
from mlinfra.errors import NotFound, SpecError


def test_a_made_up_environment_is_all_there(emulator, environment, arm):
    assert environment.emulated
    assert arm("GET", emulator.place.workspace_id).json()["name"] == environment.workspace
    for store in environment.stores.values():
        account, _, container = store.uri.removeprefix("https://").partition(".blob.core.windows.net/")
        assert emulator.storage.has_container(account, container)
    assert set(environment.identities) == {"deployer", "trainer", "server", "approver"}
    assert environment.native["client_ids"]["trainer"] == emulator.credentials("trainer").principal.client_id
    assert environment.endpoints["management"] == emulator.secure
    assert emulator.containers.check(environment.images["base"].uri) is None
    assert parse(environment.as_document()) == environment


def test_seeding_again_changes_nothing(emulator, environment, token):
    before = [each.name for each in emulator.assignments.all()]
    assert emulator.seed(environment).native == environment.native
    assert [each.name for each in emulator.assignments.all()] == before
    assert token() == environment.native["credentials"]["token"]


def test_a_second_environment_keeps_apart_from_the_first(emulator, environment):
    other = emulator.environment("other")
    assert other.stores["artefacts"].uri != environment.stores["artefacts"].uri
    assert other.identities == environment.identities


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"account": "11111111-1111-4111-8111-111111111111"}, "another subscription or region"),
        ({"region": "eastus"}, "another subscription or region"),
        ({"stores": {"artefacts": {"uri": "s3://bucket"}}}, "no stack could have made"),
        ({"identities": {"trainer": "trainer@example.com"}}, "no stack could have made"),
    ],
)
def test_an_environment_that_cannot_be_is_refused(emulator, changes, told):
    with pytest.raises(SpecError, match=told):
        emulator.environment("strange", **changes)


def test_another_platforms_environment_is_refused(emulator):
    with pytest.raises(SpecError, match="not an environment of this platform"):
        emulator.seed(AwsEnvironment(name="other", region="eu-west-1", account="111122223333"))


def test_nobody_of_that_name(emulator, environment):
    with pytest.raises(NotFound, match="no such identity"):
        emulator.credentials("stranger")


def test_the_variables_hold_for_the_vendors_clients(emulator):
    found = emulator.variables()
    assert found["ARM_CLOUD_METADATA_URL"].startswith(emulator.secure)
    assert found["AZURE_CLIENT_ID"] == emulator.credentials().principal.client_id
    assert emulator.ca_file.read_text() in Path(found["REQUESTS_CA_BUNDLE"]).read_text()


def test_the_metadata_of_clouds_names_this_one(emulator, environment, session):
    told = session().get(emulator.variables()["ARM_CLOUD_METADATA_URL"]).json()
    assert [each["name"] for each in told] == ["emulated"]
    assert told[0]["resourceManager"] == f"{emulator.secure}/"


def test_an_account_has_a_host_of_its_own(emulator, environment, session):
    account = environment.stores["artefacts"].uri.removeprefix("https://").partition(".")[0]
    emulator.storage.write(f"{environment.stores['artefacts'].uri}/x", b"here")
    headers = {"Host": f"{account}.blob.localhost", "x-ms-version": "2023-11-03"}
    assert session().get(f"{emulator.secure}/artefacts/x", headers=headers).content == b"here"


def test_it_is_one_of_the_platforms(emulator):
    assert load("azure") is type(emulator)


def test_an_environment_may_lie_in_a_group_and_workspace_of_its_own(emulator, arm):
    group = f"{emulator.place.subscription_id}/resourceGroups/Theirs"
    theirs = emulator.environment("theirs", resource_group="Theirs", workspace="Work")
    path = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/Work"
    assert arm("GET", path.lower()).json()["id"] == path
    body = {"properties": {"modelUri": theirs.stores["artefacts"].uri}}
    assert arm("PUT", f"{path}/models/m/versions/1", body).status_code == 201
    trainer = emulator.credentials("trainer").principal.object_id
    emulator.storage.write(f"{theirs.stores['artefacts'].uri}/x", b"1", trainer)
    scopes = {each.scope for each in emulator.assignments.all() if each.principal == trainer}
    assert all(scope.startswith(f"{group}/") for scope in scopes)


def test_the_address_of_registries_is_not_emulated(emulator, environment, session):
    told = session().get(
        f"{emulator.variables()['REGISTRY_DISCOVERY_ENDPOINT_URL']}registrymanagement/v1.0/registries/r/discovery"
    )
    assert told.status_code == 501
