"""What a stack would have made is there once an environment is seeded, and clients are told how to get to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.api_core import exceptions

from mlinfra.emulator.gcp import GcpEmulator
from mlinfra.environment import LocalEnvironment, parse
from mlinfra.errors import NotFound, SpecError

PROJECT = "mlinfra-emulated"
DOCUMENT = {
    "platform": "gcp",
    "name": "stack",
    "region": "europe-west4",
    "account": PROJECT,
    "stores": {"artefacts": {"uri": "gs://theirs-artefacts"}, "approvals": {"uri": "gs://theirs-approvals/marks"}},
    "identities": {
        "deployer": f"pipeline@{PROJECT}.iam.gserviceaccount.com",
        "trainer": f"training@{PROJECT}.iam.gserviceaccount.com",
        "approver": f"approving@{PROJECT}.iam.gserviceaccount.com",
    },
    "images": {"serving": {"uri": f"europe-west4-docker.pkg.dev/{PROJECT}/theirs/serving:1", "python": "3.11"}},
}


def test_a_made_up_environment_is_whole(environment, emulator):
    assert environment.name == "gcp-emulated"
    assert environment.emulated
    assert set(environment.stores) == {"artefacts", "data", "captures", "approvals"}
    assert set(environment.identities) == {"deployer", "trainer", "server", "approver"}
    assert environment.endpoints["aiplatform"] == f"https://{emulator.secure}"
    assert environment.endpoints["storage"] == emulator.url
    assert environment.native["credentials"] == emulator.credentials("deployer").as_document()
    assert environment.native["project_number"] == "111122223333"
    assert parse(environment.as_document()) == environment


def test_only_the_approver_writes_approvals(storage_client, bucket):
    def write(principal: str, name: str) -> None:
        storage_client(principal).bucket(bucket).blob(name).upload_from_string(b"1", if_generation_match=0)

    for who in ("deployer", "trainer", "server"):
        with pytest.raises(exceptions.Forbidden):
            write(who, "approvals/credit")
    write("approver", "approvals/credit")
    assert storage_client().bucket(bucket).blob("approvals/credit").download_as_bytes() == b"1"
    write("trainer", "data/x")
    with pytest.raises(exceptions.Forbidden):
        write("server", "data/y")
    with pytest.raises(exceptions.Forbidden):
        write("approver", "data/y")


def test_environments_stand_beside_each_other(environment, emulator, storage_client):
    other = emulator.environment("other", stage="prod")
    assert other.stage == "prod"
    buckets = {made.stores["data"].uri.removeprefix("gs://").partition("/")[0] for made in (environment, other)}
    assert len(buckets) == 2
    for name in buckets:
        storage_client().bucket(name).blob("data/x").upload_from_string(b"1")


def test_a_stacks_own_document_is_seeded(emulator, storage_client):
    seeded = emulator.seed(parse(DOCUMENT))
    assert seeded.emulated
    assert emulator.seed(parse(DOCUMENT)) == seeded
    assert emulator.credentials("deployer").principal == DOCUMENT["identities"]["deployer"]
    storage_client().bucket("theirs-artefacts").blob("a").upload_from_string(b"1")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"account": "another-project"}, "another project or region"),
        ({"region": "us-central1"}, "another project or region"),
        ({"stores": {"artefacts": {"uri": "s3://bucket"}}}, "no stack could have made"),
        ({"identities": {"trainer": "arn:aws:iam::1:role/x"}}, "no stack could have made"),
    ],
)
def test_what_no_stack_of_this_project_made_is_refused(emulator, changes, what):
    with pytest.raises(SpecError, match=what):
        emulator.seed(parse({**DOCUMENT, **changes}))
    assert not emulator.seeded.identities


def test_another_platforms_environment_is_refused(emulator):
    with pytest.raises(SpecError, match="not an environment of this platform"):
        emulator.seed(LocalEnvironment(name="local", root="/mlinfra"))


def test_nobody_has_credentials_who_was_not_seeded(emulator, environment):
    with pytest.raises(NotFound, match="no such identity"):
        emulator.credentials("auditor")
    assert emulator.credentials(environment.identities["approver"]).token == emulator.credentials("approver").token


def test_the_variables_name_files_that_are_there(emulator):
    told = emulator.variables()
    key = json.loads(Path(told["GOOGLE_APPLICATION_CREDENTIALS"]).read_text())
    assert emulator.principals.holder(key["token"]) == emulator.credentials("deployer").principal
    assert told["MLINFRA_EMULATOR_API_ENDPOINT"] == emulator.secure
    assert Path(told["REQUESTS_CA_BUNDLE"]).read_text().startswith(emulator.ca_file.read_text())
    assert emulator.variables() == told


def test_two_emulators_run_beside_each_other(emulator, tmp_path, environment):
    with GcpEmulator(tmp_path / "second") as second:
        second.environment()
        assert second.secure != emulator.secure
        with pytest.raises(Exception, match="UNAUTHENTICATED"):
            second.principals.holder(emulator.credentials().token)
