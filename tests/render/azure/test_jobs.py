"""A command job as it is sent: one golden request of everything at once, and what must hold for each part."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.contract.jobs import Artefact, JobObservation, JobQuery, JobRun
from mlinfra.contract.states import JobState
from mlinfra.environment import AzureEnvironment, Tracking
from mlinfra.errors import CapabilityError, SpecError
from mlinfra.runner.manifest import parse_manifest
from mlinfra_azure.config import check_request
from mlinfra_azure.observe import job as observe_job
from mlinfra_azure.render import jobs

MakeRun = Callable[..., JobRun]
MakeEnvironment = Callable[..., AzureEnvironment]
BASE = "https://risk.blob.core.windows.net/artefacts/kit"
WORK = "0123456789abcdef0123456789abcdef01234567"
GOLDEN = Path(__file__).parent / "golden"


def document_of(run: JobRun, environment: AzureEnvironment) -> dict[str, Any]:
    """The document that is PUT, after every request was held against the vendor's description."""
    requests = jobs.submit(run, environment)
    for request in requests:
        check_request(request)
    return dict(requests[-1].body["body"])  # type: ignore[arg-type]  # a mapping, as the check says


def job_of(run: JobRun, environment: AzureEnvironment) -> dict[str, Any]:
    return dict(document_of(run, environment)["properties"])


def manifest_of(job: dict[str, Any]) -> Any:
    """The manifest as the runner reads it where the service has filled the places in."""
    told = job["environmentVariables"]
    places = dict(re.findall(r"(MLINFRA_PLACE_\w+)='\$\{\{(.*?)\}\}'", job["command"]))
    parts = sorted((name for name in told if name.startswith("MLINFRA_MANIFEST_")), key=lambda name: int(name[17:]))
    return parse_manifest("".join(told[name] for name in parts), places)


def test_everything_at_once(make_run: MakeRun, guarded: AzureEnvironment):
    run = make_run(
        guarded,
        inputs={
            "data": Artefact(f"{BASE}/inputs/1/data.csv", "sha256:1", 5),
            "images": Artefact(f"{BASE}/i", is_folder=True),
        },
        outputs={"model": {"type": "model"}, "report": {}},
        params={"depth": 6, "title": "a\nb"},
        metrics={"auc": {"goal": "max"}, "loss/val": {}},
        resources={
            "cpu": 4,
            "memory": "16Gi",
            "spot": True,
            "max_runtime": "2h",
            "nodes": 3,
            "distribution": "torch",
            "accelerator": {"kind": "t4", "count": 1},
        },
        retries={"infrastructure": 2},
        checkpoint=True,
        tags={"team": "risk"},
        secrets={"PASSWORD": "risk-db"},
    )
    requests = [request.as_document() for request in jobs.submit(run, guarded)]
    for request in jobs.submit(run, guarded):
        check_request(request)
    text = json.dumps(requests, indent=1, sort_keys=True) + "\n"
    place = GOLDEN / "everything.json"
    if os.environ.get("UPDATE_GOLDEN"):
        place.write_text(text)
    assert text == place.read_text()


def test_code_and_image_are_named_by_their_content_and_need_not_be_sent_twice(
    make_run: MakeRun, environment: AzureEnvironment, make_environment: MakeEnvironment
):
    image, code, create = jobs.submit(make_run(environment), environment)
    job = job_of(make_run(environment), environment)
    assert (image.known, code.known, create.known) == (job["environmentId"], job["codeId"], "")
    assert all(each.repeatable and each.lookup for each in (image, code, create))
    assert not create.refs - {image.step, code.step}
    other_attempt = make_run(environment, params={"depth": 7})
    assert [each.known for each in jobs.submit(other_attempt, environment)] == [image.known, code.known, ""]
    other_image = make_run(environment, image="registry.example.com/ours:1")
    assert jobs.submit(other_image, environment)[0].known != image.known
    another = make_environment(name="another")  # whose bundle lies at another address
    assert jobs.submit(make_run(another), another)[1].known != code.known


def test_the_command_hands_the_runner_what_the_service_alone_knows(make_run: MakeRun, environment: AzureEnvironment):
    inputs = {"data-set": Artefact(f"{BASE}/x.csv"), "data_set": Artefact(f"{BASE}/y", is_folder=True)}
    run = make_run(environment, inputs=inputs, outputs={"data_set": {}})
    job = job_of(run, environment)
    assert job["command"].endswith(" python3 bundle.pyz")
    assert set(job["inputs"]) == {"data_set", "data_set_2"}
    assert [job["inputs"][name]["jobInputType"] for name in ("data_set", "data_set_2")] == ["uri_file", "uri_folder"]
    assert set(job["outputs"]) == {"data_set_out"}
    manifest = manifest_of(job)
    assert {name: each.path for name, each in manifest.inputs.items()} == {
        "data-set": "inputs.data_set",
        "data_set": "inputs.data_set_2",
    }
    assert manifest.outputs["data_set"].path == "outputs.data_set_out"


def test_a_reference_is_the_runners_to_resolve_and_hidden_from_the_service(
    make_run: MakeRun, environment: AzureEnvironment
):
    run = make_run(environment, command=["python", "train.py", "${{params.depth}}"], params={"depth": 6})
    job = job_of(run, environment)
    assert not [name for name, value in job["environmentVariables"].items() if "${{" in value]
    assert manifest_of(job).command == ("python", "train.py", "${{params.depth}}")


def test_the_name_is_the_works_own_and_tags_are_repeated_as_properties(
    make_run: MakeRun, environment: AzureEnvironment
):
    run = make_run(environment, name="a" * 32, tags={"team": "risk"})
    create = jobs.submit(run, environment)[-1]
    assert create.body["id"] == jobs.physical_name(run) == f"{'a' * 32}-{WORK[:10]}-1"
    job = job_of(run, environment)
    assert job["tags"] == {
        "team": "risk",
        "mlinfra_environment": environment.suffix,
        "mlinfra_id": WORK,
        "mlinfra_attempt": "1",
    }
    assert job["properties"] == job["tags"]


def test_nodes_are_told_of_each_other_by_the_service(make_run: MakeRun, environment: AzureEnvironment):
    assert "distribution" not in job_of(make_run(environment), environment)
    several = job_of(make_run(environment, resources={"nodes": 5}), environment)
    assert several["resources"]["instanceCount"] == 5
    assert several["distribution"] == {"distributionType": "PyTorch", "processCountPerInstance": 1}


@pytest.mark.parametrize(
    ("resources", "size"),
    [
        ({}, "Standard_DS3_v2"),
        ({"cpu": 8, "memory": "32Gi"}, "Standard_D8as_v4"),
        ({"accelerator": {"kind": "t4", "count": 1}}, "Standard_NC4as_T4_v3"),
        ({"accelerator": {"kind": "a100", "count": 8}}, "Standard_ND96asr_v4"),
        ({"accelerator": {"kind": "h100", "count": 2}}, "Standard_NC80adis_H100_v5"),
    ],
)
def test_the_machine(make_run: MakeRun, resources: dict[str, Any], size: str, environment: AzureEnvironment):
    job = job_of(make_run(environment, resources=resources), environment)
    assert job["resources"] == {"instanceCount": 1, "instanceType": size}
    assert "computeId" not in job


def test_the_nearest_larger_machine_is_chosen_and_said_to_be(make_run: MakeRun, environment: AzureEnvironment):
    run = make_run(environment, resources={"accelerator": {"kind": "t4", "count": 3}})
    machine = jobs.choices(run.spec, environment)[0]
    assert machine.value.startswith("Standard_NC64as_T4_v3")
    assert "3 x t4 alone cannot be had, the nearest larger has 4" in machine.reason


def test_what_azure_does_not_have_is_refused(make_run: MakeRun, environment: AzureEnvironment):
    run = make_run(environment, resources={"accelerator": {"kind": "l4", "count": 1}})
    with pytest.raises(CapabilityError, match="no machine type of the platform is enough"):
        jobs.submit(run, environment)
    with pytest.raises(SpecError, match="did you mean Standard_DS3_v2"):
        jobs.submit(make_run(environment, machine={"azure": "Standard_DS3_v3"}), environment)


def test_a_cluster_of_the_environment_is_taken_where_it_is_enough(make_run: MakeRun, make_environment: MakeEnvironment):
    clusters = {
        "small": {"machine": "Standard_DS3_v2"},
        "large": {"machine": "Standard_D32as_v4"},
        "spare": {"machine": "Standard_DS3_v2", "spot": True},
    }
    environment = make_environment(compute={name: f"{name}-1" for name in clusters}, native={"clusters": clusters})

    def compute(**fields: Any) -> tuple[str, str]:
        job = job_of(make_run(environment, **fields), environment)
        size = job["resources"].get("instanceType", "") + job.get("queueSettings", {}).get("jobTier", "")
        return job.get("computeId", "").rpartition("/computes/")[2], size

    assert compute() == ("small-1", "")
    assert compute(resources={"cpu": 8}) == ("large-1", "")
    assert compute(resources={"spot": True}) == ("spare-1", "")
    assert compute(resources={"cpu": 64}) == ("", "Standard_F64s_v2")
    assert compute(resources={"cpu": 64, "spot": True}) == ("", "Standard_F64s_v2Spot")
    assert compute(machine={"azure": "large"}) == ("large-1", "")
    assert compute(machine={"azure": "Standard_E4s_v3"}) == ("", "Standard_E4s_v3")
    with pytest.raises(CapabilityError, match="no spare capacity"):
        compute(machine={"azure": "large"}, resources={"spot": True})


def test_spare_capacity_is_asked_for_where_there_is_no_cluster(make_run: MakeRun, environment: AzureEnvironment):
    job = job_of(make_run(environment, resources={"spot": True}), environment)
    assert job["queueSettings"] == {"jobTier": "Spot"}
    assert "queueSettings" not in job_of(make_run(environment), environment)


def test_a_time_limit_is_a_duration(make_run: MakeRun, environment: AzureEnvironment):
    job = job_of(make_run(environment, resources={"max_runtime": "2h"}), environment)
    assert job["limits"] == {"jobLimitsType": "Command", "timeout": "PT7200S"}


def test_the_identity_is_the_environments_trainer(make_run: MakeRun, environment: AzureEnvironment):
    job = job_of(make_run(environment), environment)
    assert job["identity"] == {"identityType": "Managed", "resourceId": environment.identities["trainer"]}
    nobody = environment.model_copy(update={"identities": {}})
    with pytest.raises(SpecError, match=r"identities\.trainer"):
        jobs.submit(make_run(nobody), nobody)
    told = environment.model_copy(update={"native": {"client_ids": {"trainer": "abc"}}})
    job = job_of(make_run(told), told)
    assert (job["identity"]["clientId"], job["environmentVariables"]["AZURE_CLIENT_ID"]) == ("abc", "abc")


def test_outputs_are_taken_where_the_store_expects_them(make_run: MakeRun, environment: AzureEnvironment):
    run = make_run(environment, outputs={"report": {}, "model-1": {"type": "model"}})
    job = job_of(run, environment)
    found = observe_job({"name": "train-1", "properties": {**job, "status": "Completed"}}, environment)
    base = f"{BASE}/jobs/{WORK}/1"
    assert {name: artefact.uri for name, artefact in found.outputs.items()} == {
        "report": f"{base}/report",
        "model-1": f"{base}/model-1",
    }
    assert found.result is not None
    assert found.result.uri == f"{base}/.mlinfra"
    assert (found.native_id, found.id, found.attempt) == ("train-1", WORK, 1)
    failed = observe_job({"name": "train-1", "properties": {**job, "status": "Failed"}}, environment)
    assert failed.outputs == {}
    assert failed.result == found.result


def test_progress_is_kept_under_the_work_so_that_the_next_attempt_finds_it(
    make_run: MakeRun, environment: AzureEnvironment
):
    job = job_of(make_run(environment, checkpoint=True), environment)
    assert manifest_of(job).checkpoint == {"uri": f"{BASE}/checkpoints/{WORK}"}
    assert manifest_of(job_of(make_run(environment), environment)).checkpoint == {}


def test_secrets_travel_by_name_and_are_read_in_the_environments_vault(make_run: MakeRun, guarded: AzureEnvironment):
    run = make_run(guarded, secrets={"PASSWORD": "risk-db"})
    assert manifest_of(job_of(run, guarded)).secrets == {
        "PASSWORD": "keyvault:https://risk.vault.azure.net/secrets/risk-db"
    }
    without = guarded.model_copy(update={"vaults": {}})
    with pytest.raises(CapabilityError, match="no vault"):
        jobs.submit(make_run(without, secrets={"PASSWORD": "risk-db"}), without)


def test_what_needs_the_internet_is_refused_where_there_is_none(make_run: MakeRun, guarded: AzureEnvironment):
    for fields, named in (
        ({"lock": "numpy==2.0.0"}, "python.requirements"),
        ({"inputs": {"rates": Artefact("https://example.com/rates.csv", "sha256:1")}}, "inputs.rates"),
    ):
        with pytest.raises(CapabilityError, match=named):
            jobs.submit(make_run(guarded, **fields), guarded)
    tracked = guarded.model_copy(update={"tracking": Tracking(uri="https://mlflow.example.com")})
    with pytest.raises(CapabilityError, match="tracking"):
        jobs.submit(make_run(tracked), tracked)
    own = guarded.model_copy(update={"tracking": Tracking(uri="azureml://westeurope.api.azureml.ms/mlflow/v1.0")})
    jobs.submit(make_run(own), own)


def test_packages_of_a_job_without_an_index_are_brought_by_the_service(make_run: MakeRun, guarded: AzureEnvironment):
    wheels = Artefact(f"{BASE}/wheels/1", is_folder=True)
    job = job_of(make_run(guarded, lock="numpy==2.0.0", wheels=wheels), guarded)
    assert "MLINFRA_WHEELS='${{inputs.mlinfra_wheels}}'" in job["command"]
    assert job["inputs"]["mlinfra_wheels"]["uri"] == wheels.uri


def test_an_input_of_another_cloud_is_refused(make_run: MakeRun, environment: AzureEnvironment):
    with pytest.raises(CapabilityError, match=r"inputs\.data"):
        jobs.submit(make_run(environment, inputs={"data": Artefact("s3://bucket/x")}), environment)


def test_an_input_of_the_web_is_the_runners_to_fetch(make_run: MakeRun, environment: AzureEnvironment):
    run = make_run(environment, inputs={"rates": Artefact("https://example.com/rates.csv", "sha256:1")})
    job = job_of(run, environment)
    assert "inputs" not in job
    assert manifest_of(job).inputs["rates"].uri == "https://example.com/rates.csv"


def test_runs_are_filed_under_the_environments_experiment_or_the_specs_name(
    make_run: MakeRun, make_environment: MakeEnvironment
):
    environment = make_environment(tracking=Tracking(experiment="risk"))
    assert job_of(make_run(environment), environment)["experimentName"] == "risk"
    assert job_of(make_run(make_environment()), make_environment())["experimentName"] == "train"


def test_the_image_is_the_environments_where_its_python_is_the_one_asked_for(
    make_run: MakeRun, environment: AzureEnvironment, make_environment: MakeEnvironment
):
    def image(environment: AzureEnvironment, **fields: Any) -> str:
        body: Any = jobs.submit(make_run(environment, **fields), environment)[0].body["body"]
        return str(body["properties"]["image"])

    assert image(environment) == environment.images["base"].uri
    assert image(environment, python={"version": "3.11"}) == environment.images["base"].uri
    assert image(environment, image="registry.example.com/ours:1") == "registry.example.com/ours:1"
    assert image(environment, python={"version": "3.12"}) == "docker.io/library/python:3.12-slim"
    cached = make_environment(registries={"images": "risk.azurecr.io"})
    assert image(cached, python={"version": "3.12"}) == "risk.azurecr.io/library/python:3.12-slim"


def test_a_single_member_is_patched_and_the_rest_stays(make_run: MakeRun, environment: AzureEnvironment):
    patch = {"properties": {"resources": {"shmSize": "8g"}, "environmentVariables": {"NCCL_DEBUG": "INFO"}}}
    plain = job_of(make_run(environment), environment)
    patched = job_of(make_run(environment, overrides={"azure": {"Jobs_CreateOrUpdate": patch}}), environment)
    assert patched == {
        **plain,
        "resources": {**plain["resources"], "shmSize": "8g"},
        "environmentVariables": {**plain["environmentVariables"], "NCCL_DEBUG": "INFO"},
    }


def test_settings_that_do_not_fit_the_request_are_refused(make_run: MakeRun, environment: AzureEnvironment):
    with pytest.raises(SpecError, match="too large to travel"):
        jobs.submit(make_run(environment, env={"LONG": "x" * 21_000}), environment)


def test_a_listing_is_narrowed_by_properties(environment: AzureEnvironment):
    request = jobs.find(JobQuery(id=WORK, tags={"team": "risk"}), environment, "next")
    check_request(request)
    assert request.body == {
        "jobType": "Command",
        "listViewType": "All",
        "properties": f"mlinfra_environment={environment.suffix},team=risk,mlinfra_id={WORK}",
        "skip": "next",
    }


def test_what_changes_a_job_names_it(environment: AzureEnvironment):
    job = JobObservation("train-1", "train-1", JobState.RUNNING)
    for request, operation in (
        (jobs.stop(job, environment), "Jobs_Cancel"),
        (jobs.delete(job, environment), "Jobs_Delete"),
        (jobs.describe("train-1", environment), "Describe"),
    ):
        check_request(request)
        assert (request.operation, request.body) == (operation, {"id": "train-1"})


@settings(max_examples=60, deadline=None)
@given(
    params=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
        st.one_of(
            st.integers(-(2**40), 2**40), st.booleans(), st.text(max_size=200).filter(lambda text: "\0" not in text)
        ),
        max_size=8,
    ),
    nodes=st.integers(1, 20),
    spot=st.booleans(),
    minutes=st.integers(1, 10_000),
)
def test_whatever_is_asked_for_the_request_is_valid_and_says_it(
    make_run: MakeRun,
    make_environment: MakeEnvironment,
    params: dict[str, Any],
    nodes: int,
    *,
    spot: bool,
    minutes: int,
):
    environment = make_environment()
    resources = {"nodes": nodes, "spot": spot, "max_runtime": f"{minutes}m"}
    job = job_of(make_run(environment, params=params, resources=resources), environment)
    assert dict(manifest_of(job).params) == params
    assert job["limits"]["timeout"] == f"PT{60 * minutes}S"
    assert job["resources"]["instanceCount"] == nodes
