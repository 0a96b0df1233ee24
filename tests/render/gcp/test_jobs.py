"""CreateCustomJob as it is sent: one golden request of everything at once, and what must hold for each part."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1 import types
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.contract.jobs import Artefact, JobObservation, JobQuery, JobRun
from mlinfra.contract.states import JobState
from mlinfra.environment import GcpEnvironment, Tracking
from mlinfra.errors import CapabilityError, SpecError
from mlinfra.runner.manifest import parse_manifest
from mlinfra_gcp.config import check_request
from mlinfra_gcp.observe import job as observe_job
from mlinfra_gcp.render import jobs

MakeRun = Callable[..., JobRun]
MakeEnvironment = Callable[..., GcpEnvironment]
PROJECT = "risk-prod"
PLACE = f"projects/{PROJECT}/locations/europe-west4"
BASE = "gs://mlinfra-test/kit"
WORK = "0123456789abcdef0123456789abcdef01234567"
GOLDEN = Path(__file__).parent / "golden"


def body_of(run: JobRun, environment: GcpEnvironment) -> dict[str, Any]:
    """The request's body, which the vendor's own message takes as well."""
    (request,) = jobs.submit(run, environment)
    check_request(request)
    message = types.CreateCustomJobRequest()
    json_format.ParseDict(dict(request.body), types.CreateCustomJobRequest.pb(message))
    return dict(request.body)


def spec_of(run: JobRun, environment: GcpEnvironment) -> dict[str, Any]:
    return dict(body_of(run, environment)["customJob"]["jobSpec"])


def container_of(run: JobRun, environment: GcpEnvironment) -> dict[str, Any]:
    return dict(spec_of(run, environment)["workerPoolSpecs"][0]["containerSpec"])


def manifest_of(container: dict[str, Any]) -> Any:
    variables = {each["name"]: each["value"] for each in container["env"]}
    parts = sorted(
        (name for name in variables if name.startswith("MLINFRA_MANIFEST_")), key=lambda name: int(name[17:])
    )
    return parse_manifest("".join(variables[name] for name in parts))


def test_everything_at_once(make_run: MakeRun, guarded: GcpEnvironment):
    environment = guarded.model_copy(update={"tensorboard": f"{PLACE}/tensorboards/1"})
    run = make_run(
        environment,
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
            "disk": "150Gi",
            "spot": True,
            "max_runtime": "2h",
            "nodes": 3,
            "accelerator": {"kind": "t4", "count": 2},
        },
        retries={"infrastructure": 2},
        checkpoint=True,
        tags={"team": "risk"},
        secrets={"PASSWORD": "risk-db"},
    )
    body = body_of(run, environment)
    for pool in body["customJob"]["jobSpec"]["workerPoolSpecs"]:
        pool["containerSpec"]["command"][2] = "<fetcher>"
    text = json.dumps(body, indent=1, sort_keys=True) + "\n"
    place = GOLDEN / "everything.json"
    if os.environ.get("UPDATE_GOLDEN"):
        place.write_text(text)
    assert text == place.read_text()


def test_the_command_fetches_the_bundle_and_compares_it(make_run: MakeRun, environment: GcpEnvironment):
    container = container_of(make_run(environment), environment)
    assert container["command"][:2] == ["python3", "-c"]
    assert container["args"] == [f"{BASE}/code/abc/bundle.pyz", "a" * 64]
    compile(container["command"][2], "fetcher", "exec")
    assert len(container["command"][2]) < 4_000
    assert '"""' not in container["command"][2]


def test_the_name_is_for_people_and_the_labels_are_the_works_own(make_run: MakeRun, environment: GcpEnvironment):
    run = make_run(environment, name="a" * 32, tags={"team": "risk"})
    job = body_of(run, environment)["customJob"]
    assert job["displayName"] == jobs.physical_name(run) == f"{'a' * 32}-{WORK[:10]}-1"
    assert job["labels"] == {
        "team": "risk",
        "mlinfra_environment": environment.suffix,
        "mlinfra_id": WORK,
        "mlinfra_attempt": "1",
    }


def test_a_create_is_looked_up_by_its_labels_and_never_repeated_blindly(make_run: MakeRun, environment: GcpEnvironment):
    (request,) = jobs.submit(make_run(environment), environment)
    assert not request.repeatable
    assert request.lookup is not None
    check_request(request.lookup.request)
    assert request.lookup.request.body["filter"] == (
        f"labels.mlinfra_environment={environment.suffix} AND labels.mlinfra_attempt=1 AND labels.mlinfra_id={WORK}"
    )


def test_the_first_node_is_alone_in_its_pool(make_run: MakeRun, environment: GcpEnvironment):
    alone = spec_of(make_run(environment), environment)["workerPoolSpecs"]
    several = spec_of(make_run(environment, resources={"nodes": 5}), environment)
    assert [pool["replicaCount"] for pool in alone] == [1]
    assert [pool["replicaCount"] for pool in several["workerPoolSpecs"]] == [1, 4]
    assert several["workerPoolSpecs"][0]["containerSpec"] == several["workerPoolSpecs"][1]["containerSpec"]


@pytest.mark.parametrize(
    ("fields", "scheduling"),
    [
        ({"resources": {"max_runtime": "2h"}}, {"timeout": "7200s"}),
        ({"resources": {"max_runtime": "1m", "spot": True}}, {"timeout": "60s", "strategy": "SPOT"}),
        (
            {"resources": {"max_runtime": "1m"}, "retries": {"infrastructure": 0}},
            {"timeout": "60s", "disableRetries": True},
        ),
        ({"resources": {"max_runtime": "1m", "nodes": 2}}, {"timeout": "60s", "restartJobOnWorkerRestart": True}),
    ],
)
def test_time_limit_spot_and_retries(
    make_run: MakeRun, fields: dict[str, Any], scheduling: dict[str, Any], environment: GcpEnvironment
):
    assert spec_of(make_run(environment, **fields), environment)["scheduling"] == scheduling


@pytest.mark.parametrize(
    ("resources", "machine"),
    [
        ({}, {"machineType": "n1-standard-4"}),
        ({"cpu": 8, "memory": "32Gi"}, {"machineType": "e2-standard-8"}),
        (
            {"accelerator": {"kind": "l4", "count": 1}},
            {"machineType": "g2-standard-4", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1},
        ),
        (
            {"cpu": 16, "accelerator": {"kind": "v100", "count": 2}},
            {"machineType": "n1-highcpu-16", "acceleratorType": "NVIDIA_TESLA_V100", "acceleratorCount": 2},
        ),
    ],
)
def test_the_machine_and_its_accelerators(
    make_run: MakeRun, resources: dict[str, Any], machine: dict[str, Any], environment: GcpEnvironment
):
    (pool,) = spec_of(make_run(environment, resources=resources), environment)["workerPoolSpecs"]
    assert pool["machineSpec"] == machine


def test_the_nearest_larger_machine_is_chosen_and_said_to_be(make_run: MakeRun, environment: GcpEnvironment):
    run = make_run(environment, resources={"accelerator": {"kind": "l4", "count": 3}})
    machine = jobs.choices(run.spec, environment)[0]
    assert machine.value.startswith("g2-standard-48")
    assert "3 x l4 alone cannot be had, the nearest larger has 4" in machine.reason


def test_the_exact_machine_is_the_users_to_choose(make_run: MakeRun, environment: GcpEnvironment):
    def machine(name: str, **resources: Any) -> dict[str, Any]:
        run = make_run(environment, machine={"gcp": name}, resources=resources)
        return dict(spec_of(run, environment)["workerPoolSpecs"][0]["machineSpec"])

    t4 = {"kind": "t4", "count": 1}
    assert machine("n2-highmem-4") == {"machineType": "n2-highmem-4"}
    assert machine("n1-standard-8", accelerator=t4)["acceleratorType"] == "NVIDIA_TESLA_T4"
    assert machine("n1-standard-8") == {"machineType": "n1-standard-8"}
    with pytest.raises(SpecError, match=r"did you mean n1-standard-8"):
        machine("n1-standar-8")
    with pytest.raises(CapabilityError, match="does not come with 1 x t4"):
        machine("n2-highmem-4", accelerator=t4)


def test_outputs_are_taken_where_the_store_expects_them(make_run: MakeRun, environment: GcpEnvironment):
    run = make_run(environment, outputs={"report": {}, "model": {"type": "model"}})
    body = body_of(run, environment)["customJob"]
    found = observe_job({**body, "name": f"{PLACE}/customJobs/42", "state": "JOB_STATE_SUCCEEDED"}, environment)
    base = f"{BASE}/jobs/{WORK}/1"
    assert {name: artefact.uri for name, artefact in found.outputs.items()} == {
        "report": f"{base}/report",
        "model": f"{base}/model",
    }
    assert found.result is not None
    assert found.result.uri == f"{base}/.mlinfra"
    assert (found.native_id, found.id, found.attempt) == ("42", WORK, 1)
    assert body["jobSpec"]["baseOutputDirectory"] == {"outputUriPrefix": base}


def test_progress_is_kept_under_the_work_so_that_the_next_attempt_finds_it(
    make_run: MakeRun, environment: GcpEnvironment
):
    container = container_of(make_run(environment, checkpoint=True), environment)
    assert manifest_of(container).checkpoint == {"uri": f"{BASE}/checkpoints/{WORK}"}
    assert manifest_of(container_of(make_run(environment), environment)).checkpoint == {}


@pytest.mark.parametrize(
    ("vault", "place"),
    [
        ({}, f"projects/{PROJECT}/secrets/risk-db"),
        ({"main": "projects/vault"}, "projects/vault/secrets/risk-db"),
        ({"main": "projects/vault/secrets/dev-"}, "projects/vault/secrets/dev-risk-db"),
    ],
)
def test_secrets_travel_by_name_and_are_read_where_the_environment_has_them(
    make_run: MakeRun, make_environment: MakeEnvironment, vault: dict[str, str], place: str
):
    environment = make_environment(vaults=vault)
    container = container_of(make_run(environment, secrets={"PASSWORD": "risk-db"}), environment)
    address = f"secretmanager:https://secretmanager.googleapis.com/v1/{place}/versions/latest:access"
    assert manifest_of(container).secrets == {"PASSWORD": address}


def test_a_network_is_named_by_the_projects_number(make_run: MakeRun, guarded: GcpEnvironment):
    spec = spec_of(make_run(guarded), guarded)
    assert spec["network"] == "projects/111122223333/global/networks/risk"
    attached = guarded.model_copy(
        update={"native": {"network_attachment": "projects/p/regions/r/networkAttachments/a"}}
    )
    assert spec_of(make_run(attached), attached)["pscInterfaceConfig"] == {
        "networkAttachment": "projects/p/regions/r/networkAttachments/a"
    }


def test_what_needs_the_internet_is_refused_where_there_is_none(make_run: MakeRun, guarded: GcpEnvironment):
    for fields, named in (
        ({"lock": "numpy==2.0.0"}, "python.requirements"),
        ({"inputs": {"rates": Artefact("https://example.com/rates.csv", "sha256:1")}}, "inputs.rates"),
    ):
        with pytest.raises(CapabilityError, match=named):
            jobs.submit(make_run(guarded, **fields), guarded)
    wheels = Artefact(f"{BASE}/wheels/1", is_folder=True)
    container = container_of(make_run(guarded, lock="numpy==2.0.0", wheels=wheels), guarded)
    assert {"name": "MLINFRA_WHEELS", "value": wheels.uri} in container["env"]
    tracked = guarded.model_copy(update={"tracking": Tracking(uri="https://mlflow.example.com")})
    with pytest.raises(CapabilityError, match="tracking"):
        jobs.submit(make_run(tracked), tracked)


def test_isolation_needs_a_network_that_isolates(make_run: MakeRun, guarded: GcpEnvironment):
    nowhere = guarded.model_copy(update={"network": guarded.network.model_copy(update={"id": ""})})
    with pytest.raises(CapabilityError, match="by its network alone"):
        jobs.submit(make_run(nowhere), nowhere)


def test_an_input_of_another_cloud_is_refused(make_run: MakeRun, environment: GcpEnvironment):
    with pytest.raises(CapabilityError, match=r"inputs\.data"):
        jobs.submit(make_run(environment, inputs={"data": Artefact("s3://bucket/x")}), environment)


def test_an_experiment_of_vertex_is_named_where_the_environment_has_one(
    make_run: MakeRun, make_environment: MakeEnvironment
):
    environment = make_environment(tracking=Tracking(kind="native", experiment="risk"))
    assert spec_of(make_run(environment), environment)["experiment"] == f"{PLACE}/metadataStores/default/contexts/risk"


def test_the_image_is_the_environments_where_its_python_is_the_one_asked_for(
    make_run: MakeRun, environment: GcpEnvironment, make_environment: MakeEnvironment
):
    def image(environment: GcpEnvironment, **fields: Any) -> str:
        return str(container_of(make_run(environment, **fields), environment)["imageUri"])

    assert image(environment) == environment.images["base"].uri
    assert image(environment, python={"version": "3.11"}) == environment.images["base"].uri
    assert image(environment, image="registry.example.com/ours:1") == "registry.example.com/ours:1"
    assert image(environment, python={"version": "3.12"}) == "docker.io/library/python:3.12-slim"
    remote = make_environment(registries={"remote": "europe-west4-docker.pkg.dev/risk-prod/dockerhub"})
    assert image(remote, python={"version": "3.12"}).startswith("europe-west4-docker.pkg.dev/risk-prod/dockerhub/lib")


def test_a_single_key_of_the_container_is_patched_and_the_rest_stays(make_run: MakeRun, environment: GcpEnvironment):
    patch = {"containerSpec": {"imageUri": "registry.example.com/ours:2"}}
    overrides = {"gcp": {"CreateCustomJob": {"customJob": {"jobSpec": {"workerPoolSpecs": {"0": patch}}}}}}
    plain = container_of(make_run(environment), environment)
    patched = container_of(make_run(environment, overrides=overrides), environment)
    assert patched == {**plain, "imageUri": "registry.example.com/ours:2"}


def test_a_variable_may_be_appended_and_none_of_the_kits_taken_away(make_run: MakeRun, environment: GcpEnvironment):
    def container(env: Any) -> dict[str, Any]:
        patch = {"0": {"containerSpec": {"env": env}}}
        overrides = {"gcp": {"CreateCustomJob": {"customJob": {"jobSpec": {"workerPoolSpecs": patch}}}}}
        return container_of(make_run(environment, overrides=overrides), environment)

    own = container_of(make_run(environment), environment)["env"]
    mine = {"name": "NCCL_DEBUG", "value": "INFO"}
    assert container({str(len(own)): mine})["env"] == [*own, mine]
    for env in ([mine], {"0": mine}, {"0": None}, None):
        with pytest.raises(SpecError, match="the kit's own variables"):
            container(env)


def test_settings_that_do_not_fit_the_request_are_refused(make_run: MakeRun, environment: GcpEnvironment):
    with pytest.raises(SpecError, match="too large to travel"):
        jobs.submit(make_run(environment, env={"LONG": "x" * 21_000}), environment)


def test_a_listing_is_narrowed_to_the_environment_and_to_what_is_young_enough(environment: GcpEnvironment):
    request = jobs.find(JobQuery(created_after=datetime(2026, 1, 31, 12, 0, 0, 999, UTC)), environment, "next")
    check_request(request)
    assert request.body["filter"] == (
        f'labels.mlinfra_environment={environment.suffix} AND create_time>="2026-01-31T12:00:00Z"'
    )
    assert request.body["pageToken"] == "next"


def test_what_changes_a_job_names_it_by_number(environment: GcpEnvironment):
    job = JobObservation("42", "train-1", JobState.RUNNING)
    for request, operation in (
        (jobs.stop(job, environment), "CancelCustomJob"),
        (jobs.delete(job, environment), "DeleteCustomJob"),
        (jobs.describe("42", environment), "GetCustomJob"),
    ):
        check_request(request)
        assert (request.operation, request.body) == (operation, {"name": f"{PLACE}/customJobs/42"})


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
    spec = spec_of(make_run(environment, params=params, resources=resources), environment)
    container = spec["workerPoolSpecs"][0]["containerSpec"]
    assert dict(manifest_of(container).params) == params
    assert spec["scheduling"]["timeout"] == f"{60 * minutes}s"
    assert sum(pool["replicaCount"] for pool in spec["workerPoolSpecs"]) == nodes
    assert len(container["env"]) <= 100
