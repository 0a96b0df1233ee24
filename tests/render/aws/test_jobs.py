"""CreateTrainingJob as it is sent: one golden request of everything at once, and what must hold for each part."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlinfra.contract.jobs import Artefact, JobQuery, JobRun
from mlinfra.environment import AwsEnvironment, Tracking
from mlinfra.errors import CapabilityError, SpecError
from mlinfra.runner.manifest import parse_manifest
from mlinfra_aws.config import check_request, tag_map
from mlinfra_aws.observe import job as observe_job
from mlinfra_aws.render import jobs

MakeRun = Callable[..., JobRun]
MakeEnvironment = Callable[..., AwsEnvironment]
REGION = "eu-west-1"
BASE = "s3://mlinfra-test/kit"
WORK = "0123456789abcdef0123456789abcdef01234567"
GOLDEN = Path(__file__).parent / "golden"


def body_of(run: JobRun, environment: AwsEnvironment) -> dict[str, Any]:
    (request,) = jobs.submit(run, environment)
    check_request(request)
    return dict(request.body)


def manifest_of(body: dict[str, Any]) -> Any:
    text = "".join(body["Environment"][f"MLINFRA_MANIFEST_{number}"] for number in range(count(body)))
    return parse_manifest(text)


def count(body: dict[str, Any]) -> int:
    return sum(name.startswith("MLINFRA_MANIFEST_") for name in body["Environment"])


def test_everything_at_once(make_run: MakeRun, guarded: AwsEnvironment):
    run = make_run(
        guarded,
        inputs={
            "data": Artefact(f"{BASE}/inputs/1/data.csv", "sha256:1", 5),
            "images": Artefact(f"{BASE}/i", is_folder=True),
        },
        outputs={"model": {"type": "model"}, "report": {}},
        params={"depth": 6, "title": "a\nb"},
        metrics={"auc": {"goal": "max"}, "loss/val": {}},
        resources={"cpu": 4, "memory": "16Gi", "disk": "50Gi", "spot": True, "max_runtime": "2h", "nodes": 2},
        retries={"infrastructure": 2},
        checkpoint=True,
        tags={"team": "risk"},
    )
    text = json.dumps(body_of(run, guarded), indent=1, sort_keys=True) + "\n"
    place = GOLDEN / "everything.json"
    if os.environ.get("UPDATE_GOLDEN"):
        place.write_text(text)
    assert text == place.read_text()


def test_the_bundle_is_a_channel_and_the_entry_point(make_run: MakeRun, environment: AwsEnvironment):
    body = body_of(make_run(environment), environment)
    code = body["InputDataConfig"][0]
    assert code["ChannelName"] == "code"
    assert code["DataSource"]["S3DataSource"]["S3Uri"].endswith("/bundle.pyz")
    assert body["AlgorithmSpecification"]["ContainerEntrypoint"] == ["python3", "/opt/ml/input/data/code/bundle.pyz"]


def test_the_name_is_the_works_own_and_fits(make_run: MakeRun, environment: AwsEnvironment):
    run = make_run(environment, name="a" * 32)
    assert jobs.physical_name(run) == f"{'a' * 32}-{WORK[:10]}-1"
    tags = tag_map(body_of(run, environment)["Tags"])
    assert (tags["mlinfra_id"], tags["mlinfra_attempt"]) == (WORK, "1")


def test_an_input_may_have_the_name_of_the_kits_own_channel(make_run: MakeRun, environment: AwsEnvironment):
    inputs = {"code": Artefact(f"{BASE}/inputs/1/x.csv"), "wheels": Artefact(f"{BASE}/w", is_folder=True)}
    body = body_of(make_run(environment, inputs=inputs), environment)
    assert [channel["ChannelName"] for channel in body["InputDataConfig"]] == ["code", "code.input", "wheels.input"]
    assert manifest_of(body).inputs["code"].path == "/opt/ml/input/data/code.input/x.csv"
    assert manifest_of(body).inputs["wheels"].path == "/opt/ml/input/data/wheels.input"


def test_a_folder_is_a_prefix_that_no_sibling_shares(make_run: MakeRun, environment: AwsEnvironment):
    body = body_of(make_run(environment, inputs={"data": Artefact(f"{BASE}/inputs/1", is_folder=True)}), environment)
    assert body["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] == f"{BASE}/inputs/1/"


def test_what_lies_elsewhere_is_fetched_by_the_runner_over_the_network(
    make_run: MakeRun, environment: AwsEnvironment, guarded: AwsEnvironment
):
    inputs = {"rates": Artefact("https://example.com/rates.csv", "sha256:1")}
    body = body_of(make_run(environment, inputs=inputs), environment)
    assert [channel["ChannelName"] for channel in body["InputDataConfig"]] == ["code"]
    assert manifest_of(body).inputs["rates"].uri == "https://example.com/rates.csv"
    with pytest.raises(CapabilityError, match=r"inputs\.rates"):
        jobs.submit(make_run(guarded, inputs=inputs), guarded)


def test_more_inputs_than_channels_are_refused(make_run: MakeRun, environment: AwsEnvironment):
    inputs = {f"part-{number}": Artefact(f"{BASE}/inputs/{number}/x") for number in range(20)}
    with pytest.raises(CapabilityError, match="19 inputs"):
        jobs.submit(make_run(environment, inputs=inputs), environment)


def test_outputs_are_found_where_sagemaker_puts_them(make_run: MakeRun, environment: AwsEnvironment):
    run = make_run(environment, outputs={"report": {}, "model": {"type": "model"}, "second": {"type": "model"}})
    body = body_of(run, environment)
    told = {**body, "TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
    found = observe_job(told, environment)
    base = f"{BASE}/jobs/{WORK}/1/{jobs.physical_name(run)}/output"
    assert {name: artefact.uri for name, artefact in found.outputs.items()} == {
        "report": f"{base}/data/report",
        "model": f"{base}/model",
        "second": f"{base}/data/second",
    }
    assert found.result is not None
    assert found.result.uri == f"{base}/data/.mlinfra"
    assert manifest_of(body).outputs["model"].path == "/opt/ml/model"
    assert (found.id, found.attempt) == (WORK, 1)


def test_what_describe_leaves_out_is_read_from_the_manifest(make_run: MakeRun, environment: AwsEnvironment):
    body = body_of(make_run(environment, tags={"team": "risk"}), environment)
    told = {name: value for name, value in body.items() if name != "Tags"}
    found = observe_job({**told, "TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}, environment)
    assert (found.id, found.attempt, found.tags) == (WORK, 1, {"team": "risk"})


@pytest.mark.parametrize(
    ("resources", "limits"),
    [
        ({"max_runtime": "2h"}, {"MaxRuntimeInSeconds": 7200}),
        ({"max_runtime": "2h", "spot": True}, {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}),
        ({"max_runtime": "1m", "spot": True}, {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 3660}),
    ],
)
def test_spot_waits_at_least_as_long_as_it_runs(
    make_run: MakeRun, resources: dict[str, Any], limits: dict[str, int], environment: AwsEnvironment
):
    body = body_of(make_run(environment, resources=resources), environment)
    assert body["StoppingCondition"] == limits
    assert body.get("EnableManagedSpotTraining", False) is resources.get("spot", False)


def test_progress_is_kept_under_the_work_so_that_the_next_attempt_finds_it(
    make_run: MakeRun, environment: AwsEnvironment
):
    body = body_of(make_run(environment, checkpoint=True), environment)
    assert body["CheckpointConfig"] == {"S3Uri": f"{BASE}/checkpoints/{WORK}", "LocalPath": "/opt/ml/checkpoints"}
    assert manifest_of(body).checkpoint == {"path": "/opt/ml/checkpoints"}


def test_scarce_machines_have_others_to_fall_back_on(make_run: MakeRun, environment: AwsEnvironment):
    wish = {"accelerator": {"kind": "l4", "count": 1}}
    config = body_of(make_run(environment, resources=wish), environment)["ResourceConfig"]
    names = [each["InstanceType"] for each in config["InstancePreferences"]]
    assert names[0] == "ml.g6.xlarge"
    assert "InstanceType" not in config
    alone = body_of(make_run(environment, resources={**wish, "spot": True}), environment)["ResourceConfig"]
    assert alone["InstanceType"] == "ml.g6.xlarge"  # InstancePreferences excludes spot, API description


def test_the_nearest_larger_machine_is_chosen_and_said_to_be(make_run: MakeRun, environment: AwsEnvironment):
    run = make_run(environment, resources={"accelerator": {"kind": "a100", "count": 1}})
    machine = jobs.choices(run.spec, environment)[0]
    assert machine.value.startswith("ml.p4d.24xlarge")
    assert "1 x a100 alone cannot be had, the nearest larger has 8" in machine.reason


def test_the_exact_machine_is_the_users_to_choose(make_run: MakeRun, environment: AwsEnvironment):
    body = body_of(make_run(environment, machine={"aws": "ml.t3.medium"}), environment)
    assert body["ResourceConfig"]["InstanceType"] == "ml.t3.medium"
    with pytest.raises(SpecError, match=r"did you mean ml\.m5\.large"):
        jobs.submit(make_run(environment, machine={"aws": "ml.m5.larg"}), environment)


def test_a_disk_is_encrypted_by_key_unless_its_hardware_does(make_run: MakeRun, guarded: AwsEnvironment):
    key = guarded.keys["main"]
    usual = body_of(make_run(guarded), guarded)["ResourceConfig"]
    local = body_of(make_run(guarded, machine={"aws": "ml.g5.xlarge"}), guarded)["ResourceConfig"]
    assert usual["VolumeKmsKeyId"] == key
    assert "VolumeKmsKeyId" not in local


def test_warm_machines_are_kept_but_not_spot_ones(make_run: MakeRun, make_environment: MakeEnvironment):
    warm = make_environment(warm_pool_seconds=600)
    assert body_of(make_run(warm), warm)["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert "KeepAlivePeriodInSeconds" not in body_of(make_run(warm, resources={"spot": True}), warm)["ResourceConfig"]


def test_nodes_talk_in_secret_but_in_a_playground(make_run: MakeRun, make_environment: MakeEnvironment):
    staging = make_environment(stage="staging")
    assert body_of(make_run(staging, resources={"nodes": 2}), staging)["EnableInterContainerTrafficEncryption"] is True
    assert "EnableInterContainerTrafficEncryption" not in body_of(make_run(staging), staging)


@pytest.mark.parametrize(
    ("fields", "lock", "named"),
    [({"secrets": {"PASSWORD": "risk-db"}}, None, "secrets"), ({}, "numpy==2.0.0", "python.requirements")],
)
def test_what_needs_a_network_is_refused_where_there_is_none(
    make_run: MakeRun, fields: dict[str, Any], lock: str | None, named: str, guarded: AwsEnvironment
):
    with pytest.raises(CapabilityError, match=named) as refusal:
        jobs.submit(make_run(guarded, lock=lock, **fields), guarded)
    assert refusal.value.given == "network.isolated of environment aws-test"


def test_tracking_needs_a_network_too(make_run: MakeRun, guarded: AwsEnvironment):
    tracked = guarded.model_copy(update={"tracking": Tracking(uri="https://mlflow.example.com")})
    with pytest.raises(CapabilityError, match="tracking"):
        jobs.submit(make_run(tracked), tracked)


def test_the_image_is_the_environments_where_its_python_is_the_one_asked_for(
    make_run: MakeRun, environment: AwsEnvironment
):
    def image(**fields: Any) -> str:
        return str(body_of(make_run(environment, **fields), environment)["AlgorithmSpecification"]["TrainingImage"])

    assert image() == environment.images["base"].uri
    assert image(python={"version": "3.11"}) == environment.images["base"].uri
    assert image(image="registry.example.com/ours:1") == "registry.example.com/ours:1"
    newest = image(python={"version": "3.12"})
    assert newest.startswith(f"763104351884.dkr.ecr.{REGION}.amazonaws.com/pytorch-training:")
    assert newest.endswith("-cpu-py312")
    with pytest.raises(CapabilityError, match=r"no image with Python 3\.99"):
        image(python={"version": "3.99"})


def test_settings_that_do_not_fit_the_request_are_refused(make_run: MakeRun, environment: AwsEnvironment):
    with pytest.raises(SpecError, match="too large to travel"):
        jobs.submit(make_run(environment, env={"LONG": "x" * 21_000}), environment)


def test_one_search_finds_a_work_and_only_in_this_environment(environment: AwsEnvironment):
    request = jobs.find(JobQuery(id=WORK), environment, None)
    check_request(request)
    asked = {each["Name"]: each["Value"] for each in request.body["SearchExpression"]["Filters"]}  # type: ignore[index,call-overload]  a literal
    assert asked == {"Tags.mlinfra_environment": environment.suffix, "Tags.mlinfra_id": WORK}


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
    body = body_of(make_run(environment, params=params, resources=resources), environment)
    assert dict(manifest_of(body).params) == params
    limits = body["StoppingCondition"]
    assert limits.get("MaxWaitTimeInSeconds", limits["MaxRuntimeInSeconds"]) >= limits["MaxRuntimeInSeconds"]
    assert all(len(value) <= 512 for value in body["Environment"].values())
    assert all(len(value) <= 2500 and "\n" not in value for value in body.get("HyperParameters", {}).values())


def test_secrets_travel_by_their_names_in_the_environments_vault(
    make_run: MakeRun, make_environment: Callable[..., AwsEnvironment]
):
    environment = make_environment(vaults={"main": "mlinfra/aws-test/"})
    body = body_of(make_run(environment, secrets={"DB_PASSWORD": "risk-db"}), environment)
    place = "awssecret:eu-west-1:https://secretsmanager.eu-west-1.amazonaws.com/mlinfra/aws-test/risk-db"
    assert manifest_of(body).secrets == {"DB_PASSWORD": place}
    near = environment.model_copy(update={"endpoints": {"secretsmanager": "http://127.0.0.1:4566/"}})
    body = body_of(make_run(near, secrets={"DB_PASSWORD": "risk-db"}), near)
    (place,) = manifest_of(body).secrets.values()
    assert place == "awssecret:eu-west-1:http://127.0.0.1:4566/mlinfra/aws-test/risk-db"


def test_secrets_need_a_vault_and_a_network(make_run: MakeRun, environment: AwsEnvironment, guarded: AwsEnvironment):
    with pytest.raises(CapabilityError, match="names no vault"):
        body_of(make_run(environment, secrets={"A": "b"}), environment)
    isolated = guarded.model_copy(update={"vaults": {"main": "x/"}})
    with pytest.raises(CapabilityError, match="secrets cannot be had where containers have no network") as refusal:
        body_of(make_run(isolated, secrets={"A": "b"}), isolated)
    assert refusal.value.given == "network.isolated of environment aws-test"
