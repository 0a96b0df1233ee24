"""Requests are held against what the client library's documentation says of their fields."""

from __future__ import annotations

import pytest
from google.cloud import aiplatform_v1 as vertex

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.wire import fields, validate

PARENT = "projects/p/locations/europe-west4"
ENDPOINT = f"{PARENT}/endpoints/1"


def job(**members) -> vertex.CreateCustomJobRequest:
    pool = {
        "machine_spec": {"machine_type": "n1-standard-4"},
        "replica_count": 1,
        "container_spec": {"image_uri": "i", **members.pop("container", {})},
    }
    spec = {"worker_pool_specs": [pool], **members.pop("spec", {})}
    return vertex.CreateCustomJobRequest(
        parent=PARENT, custom_job={"display_name": "train", "job_spec": spec, **members}
    )


def model(**members) -> vertex.UploadModelRequest:
    request = {name: members.pop(name) for name in ("model_id", "parent") if name in members}
    spec = {"image_uri": "i", **members.pop("container", {})}
    return vertex.UploadModelRequest(
        {"parent": PARENT, "model": {"display_name": "m", "container_spec": spec, **members}, **request}
    )


def deployment(**members) -> vertex.DeployModelRequest:
    resources = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
    return vertex.DeployModelRequest(
        endpoint=ENDPOINT,
        deployed_model={"model": "m", "dedicated_resources": {**resources, **members.pop("resources", {})}, **members},
    )


def faults(request) -> list[str]:
    """Paths of the fields that are at fault."""
    with pytest.raises(Refusal) as told:
        validate.check(request)
    assert told.value.code == "INVALID_ARGUMENT"
    return [each["field"] for each in told.value.details["details"][0]["fieldViolations"]]


@pytest.mark.parametrize(
    "request_",
    [
        job(),
        job(labels={"a": "", "é_1-": "x" * 64}),
        job(container={"env": [{"name": f"N{number}", "value": "1"} for number in range(100)]}),
        model(),
        model(model_id="_a-1", version_aliases=["v1", "champion"]),
        deployment(),
        deployment(id="0123456789"),
        vertex.CreateEndpointRequest(parent=PARENT, endpoint_id="credit-1", endpoint={"display_name": "x" * 128}),
        vertex.CreateEndpointRequest(parent=PARENT, endpoint_id="123", endpoint={"display_name": "x"}),
        vertex.UpdateEndpointRequest(
            endpoint={"name": ENDPOINT, "traffic_split": {"1": 100}}, update_mask={"paths": ["traffic_split"]}
        ),
        vertex.MutateDeployedModelRequest(
            endpoint=ENDPOINT,
            deployed_model={"id": "1", "dedicated_resources": {"min_replica_count": 2}},
            update_mask={"paths": ["dedicated_resources.min_replica_count"]},
        ),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_keeps_to_the_documentation_is_let_through(request_):
    validate.check(request_)


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (vertex.CreateCustomJobRequest(), ["parent", "custom_job"]),
        (job(display_name=""), ["custom_job.display_name"]),
        (job(display_name="x" * 129), ["custom_job.display_name"]),
        (job(spec={"worker_pool_specs": []}), ["custom_job.job_spec.worker_pool_specs"]),
        (
            job(container={"image_uri": "", "env": [{"name": "A"}]}),
            [
                "custom_job.job_spec.worker_pool_specs[0].container_spec.image_uri",
                "custom_job.job_spec.worker_pool_specs[0].container_spec.env[0].value",
            ],
        ),
        (
            job(container={"env": [{"name": f"N{number}", "value": "1"} for number in range(101)]}),
            ["custom_job.job_spec.worker_pool_specs[0].container_spec.env"],
        ),
        (job(labels={"Team": "risk"}), ["custom_job.labels.Team"]),
        (job(labels={"team": "Risk"}), ["custom_job.labels.team"]),
        (job(labels={"team": "x" * 65}), ["custom_job.labels.team"]),
        (job(labels={"1st": "x"}), ["custom_job.labels.1st"]),
        (job(labels={f"a{number}": "" for number in range(65)}), ["custom_job.labels"]),
        (job(spec={"tensorboard": "board"}), ["custom_job.job_spec.tensorboard"]),
        (model(parent="projects/p"), ["parent"]),
        (model(model_id="Credit"), ["model_id"]),
        (model(model_id="1-credit"), ["model_id"]),
        (model(model_id="x" * 64), ["model_id"]),
        (model(version_aliases=["a"]), ["model.version_aliases[0]"]),
        (model(container={"ports": [{"container_port": 65536}]}), ["model.container_spec.ports[0].container_port"]),
        (model(container={"predict_route": "predict"}), ["model.container_spec.predict_route"]),
        (deployment(id="eleven-long"), ["deployed_model.id"]),
        (deployment(resources={"min_replica_count": 0}), ["deployed_model.dedicated_resources.min_replica_count"]),
        (deployment(resources={"min_replica_count": -1}), ["deployed_model.dedicated_resources.min_replica_count"]),
        (
            deployment(resources={"machine_spec": {"accelerator_type": 99}}),
            ["deployed_model.dedicated_resources.machine_spec.accelerator_type"],
        ),
        (
            vertex.CreateEndpointRequest(parent=PARENT, endpoint_id="012", endpoint={"display_name": "x"}),
            ["endpoint_id"],
        ),
        (
            vertex.CreateEndpointRequest(parent=PARENT, endpoint_id="a-", endpoint={"display_name": "x"}),
            ["endpoint_id"],
        ),
        (vertex.UpdateEndpointRequest(endpoint={"name": ENDPOINT}), ["update_mask"]),
        (
            vertex.UpdateEndpointRequest(
                endpoint={"name": ENDPOINT}, update_mask={"paths": ["traffic", "create_time", "display_name"]}
            ),
            ["update_mask", "update_mask", "endpoint.display_name"],
        ),
        (
            vertex.UpdateEndpointRequest(
                endpoint={"name": ENDPOINT, "labels": {"A": "b"}}, update_mask={"paths": ["labels"]}
            ),
            ["endpoint.labels.A"],
        ),
        (vertex.PredictRequest(endpoint=ENDPOINT), ["instances"]),
        (vertex.PredictRequest(endpoint="credit"), ["instances", "endpoint"]),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, list) else "",
)
def test_what_breaks_the_documentation_is_refused_naming_every_field(request_, wrong):
    assert faults(request_) == wrong


def test_what_only_the_service_writes_is_passed_over():
    request = job()
    request.custom_job.name, request.custom_job.state = "mine", vertex.JobState.JOB_STATE_SUCCEEDED
    validate.check(request)
    assert (request.custom_job.name, request.custom_job.state) == ("", vertex.JobState.JOB_STATE_UNSPECIFIED)


def test_the_name_of_what_is_updated_is_kept():
    request = vertex.UpdateEndpointRequest(endpoint={"name": ENDPOINT}, update_mask={"paths": ["description"]})
    validate.check(request)
    assert request.endpoint.name == ENDPOINT


def test_the_set_phrases_are_still_those_of_the_documentation():
    """Rules are read from docstrings: where the library words them otherwise, they would be gone without a sound."""
    assert fields.rules(vertex.CustomJob)["display_name"] == fields.Rule(required=True, longest=128)
    assert fields.rules(vertex.CustomJob)["state"].output_only
    assert fields.rules(vertex.ContainerSpec)["env"].most == 100
    assert fields.rules(vertex.Port)["container_port"].largest == 65535
    assert fields.rules(vertex.DedicatedResources)["min_replica_count"].least == 1
    assert fields.rules(vertex.Model)["artifact_uri"].immutable
    assert fields.rules(vertex.GetEndpointRequest)["name"].pattern.fullmatch(ENDPOINT)
    undocumented = {
        (kind.__name__, name)
        for (owner, name) in fields._SPOKEN
        for kind in [getattr(vertex, owner)]
        if name not in fields.documentation(kind)
    }
    assert undocumented == set()
