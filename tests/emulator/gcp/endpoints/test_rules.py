"""What is checked and computed before anything runs: ids, splits, resources, variables, payloads, filters, images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex
from google.cloud.aiplatform_v1 import types
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.emulator.calls import Refusal
from mlinfra.emulator.gcp.artifacts.references import parsed
from mlinfra.emulator.gcp.endpoints import payloads, rules, traffic
from mlinfra.emulator.gcp.endpoints.containers import Where, container
from mlinfra.emulator.gcp.endpoints.expansion import expanded
from mlinfra.emulator.gcp.endpoints.requestlog import destination
from mlinfra.emulator.gcp.monitoring import filters

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hosting

METRIC = "aiplatform.googleapis.com/prediction/online/"


def code(act: Callable[[], Any]) -> str:
    """The code with which something is refused; empty where it is not."""
    try:
        act()
    except Refusal as exc:
        return exc.code
    return ""


@pytest.mark.parametrize("own", ["a", "shop", "a-1", "a" * 63, "1", "123456789"])
def test_endpoint_ids_that_are_allowed(own: str) -> None:
    assert code(lambda: rules.check_endpoint_id(own)) == ""


@pytest.mark.parametrize("own", ["", "A", "a_b", "a-", "-a", "a" * 64, "0", "012", "1234567890", "1a"])
def test_endpoint_ids_that_are_not(own: str) -> None:
    assert code(lambda: rules.check_endpoint_id(own)) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("asked", "after"),
    [
        ({}, {"1": 100}),
        ({"0": 100}, {"7": 100}),
        ({"7": 100}, {"7": 100}),
        ({"0": 30, "1": 70}, {"7": 30, "1": 70}),
        ({"0": 0, "1": 100}, {"1": 100}),
        ({"0": 30, "1": 60}, "INVALID_ARGUMENT"),
        ({"0": 30, "2": 70}, "INVALID_ARGUMENT"),
        ({"0": 150, "1": -50}, "INVALID_ARGUMENT"),
        ({"0": 50, "7": 50}, "INVALID_ARGUMENT"),
    ],
)
def test_the_split_of_a_deployment(asked: dict[str, int], after: Any) -> None:
    def act() -> dict[str, int]:
        return traffic.after_deploying({"1": 100}, asked, ["1"], "7")

    assert (code(act) if isinstance(after, str) else act()) == after


@pytest.mark.parametrize(
    ("deployed", "asked", "after"),
    [
        (["1"], {}, {}),
        (["1"], {"1": 100}, {}),
        (["1", "2"], {}, "FAILED_PRECONDITION"),
        (["1", "2"], {"2": 100}, {"2": 100}),
        (["1", "2"], {"1": 10, "2": 90}, "FAILED_PRECONDITION"),
        (["1", "2"], {"2": 90}, "INVALID_ARGUMENT"),
    ],
)
def test_the_split_of_an_undeployment(deployed: list[str], asked: dict[str, int], after: Any) -> None:
    def act() -> dict[str, int]:
        return traffic.after_undeploying({"1": 60, "2": 40}, asked, deployed, "1")

    assert (code(act) if isinstance(after, str) else act()) == after


@given(st.dictionaries(st.sampled_from("1234"), st.integers(-5, 105)))
def test_a_split_that_passes_adds_up_to_all_or_nothing(split: dict[str, int]) -> None:
    if not code(lambda: traffic.checked(split, "1234")):
        assert sum(traffic.checked(split, "1234").values()) in {0, 100}


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_replica_count": 0},
        {"min_replica_count": 3, "max_replica_count": 2},
        {"min_replica_count": 1, "required_replica_count": 2},
        {"autoscaling_metric_specs": [{"metric_name": "cpu"}]},
        {"autoscaling_metric_specs": [{"metric_name": f"{METRIC}cpu/utilization", "target": 101}]},
        {"autoscaling_metric_specs": [{"metric_name": f"{METRIC}cpu/utilization"}] * 2},
        {"autoscaling_metric_specs": [{"metric_name": f"{METRIC}accelerator/duty_cycle"}]},
    ],
)
def test_resources_that_contradict_themselves_are_refused(wrong: dict[str, Any]) -> None:
    resources = types.DedicatedResources({"machine_spec": {}, "min_replica_count": 1, **wrong})
    assert code(lambda: rules.check_resources(resources)) == "INVALID_ARGUMENT"


def test_resources_with_targets_pass() -> None:
    specs = [
        {"metric_name": f"{METRIC}cpu/utilization", "target": 80},
        {"metric_name": f"{METRIC}request_count", "target": 1000},
    ]
    resources = types.DedicatedResources(min_replica_count=1, max_replica_count=4, autoscaling_metric_specs=specs)
    assert code(lambda: rules.check_resources(resources)) == ""


@pytest.mark.parametrize(
    ("deployed", "error"),
    [
        ({"id": "x1"}, exceptions.InvalidArgument),
        ({"id": "12345678901"}, exceptions.InvalidArgument),
        ({"dedicated_resources": {"machine_spec": {"machine_type": "ml.m5.large"}, "min_replica_count": 1}}, None),
        ({"automatic_resources": {"min_replica_count": 1}}, exceptions.InvalidArgument),
        ({"dedicated_resources": {"machine_spec": {"accelerator_count": 1}, "min_replica_count": 1}}, None),
        ({"model": "projects/mlinfra-emulated/locations/europe-west4/models/none"}, exceptions.NotFound),
        ({"service_account": "nobody@mlinfra-emulated.iam.gserviceaccount.com"}, exceptions.PermissionDenied),
        ({"service_account": "mlinfra-approver@mlinfra-emulated.iam.gserviceaccount.com"}, exceptions.PermissionDenied),
    ],
)
def test_a_deployment_that_breaks_a_rule_is_refused_at_once(hosting: Hosting, deployed: Any, error: Any) -> None:
    endpoint = hosting.endpoint()
    resources = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}
    whole = {"model": hosting.upload("good"), "dedicated_resources": resources, **deployed}
    if "automatic_resources" in deployed:
        del whole["dedicated_resources"]
    with pytest.raises(error or exceptions.InvalidArgument):
        hosting.endpoints.deploy_model(endpoint=endpoint.name, deployed_model=whole)
    assert not hosting.told(endpoint).deployed_models


@pytest.mark.parametrize(
    "members",
    [
        {"display_name": ""},
        {"display_name": "x" * 129},
        {"traffic_split": {"1": 100}},
        {"network": "default"},
        {"network": "projects/1/global/networks/n", "dedicated_endpoint_enabled": True},
        {"predict_request_response_logging_config": {"enabled": True, "sampling_rate": 2}},
        {"predict_request_response_logging_config": {"enabled": True, "sampling_rate": 1}},
        {"client_connection_config": {"inference_timeout": {"seconds": 3601}}},
        {"encryption_spec": {"kms_key_name": "key"}},
        {"labels": {"Team": "risk"}},
    ],
)
def test_an_endpoint_that_breaks_a_rule_is_refused(hosting: Hosting, members: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        hosting.endpoint(**members)
    assert not list(hosting.endpoints.list_endpoints(parent=hosting.parent))


def test_endpoints_are_listed_by_filter_order_and_page_and_ids_are_taken_once(hosting: Hosting) -> None:
    for name in ("b", "a", "c"):
        hosting.endpoint(name, display_name=f"shop {name}", labels={"team": "risk" if name != "c" else "other"})
    with pytest.raises(exceptions.AlreadyExists):
        hosting.endpoint("a")

    def listed(**asked: Any) -> list[str]:
        found = hosting.endpoints.list_endpoints(request={"parent": hosting.parent, "page_size": 1, **asked})
        return [each.name.rpartition("/")[2] for each in found]

    assert sorted(listed()) == ["a", "b", "c"]
    assert listed(order_by="display_name desc") == ["c", "b", "a"]
    assert sorted(listed(filter='labels.team="risk"')) == ["a", "b"]
    assert listed(filter='display_name="shop c"') == ["c"]
    assert listed(filter="endpoint=b") == ["b"]


def test_an_endpoint_is_updated_by_mask_and_its_etag_guards_it(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop", labels={"team": "risk"})

    def update(*paths: str, **members: Any) -> Any:
        asked = {"name": endpoint.name, **members}
        return hosting.endpoints.update_endpoint(endpoint=asked, update_mask={"paths": paths})

    changed = update("labels", display_name="ignored", labels={"team": "new"}, etag=endpoint.etag)
    assert (changed.display_name, dict(changed.labels)) == ("shop", {"team": "new"})
    with pytest.raises(exceptions.Aborted):
        update("description", description="x", etag=endpoint.etag)
    with pytest.raises(exceptions.InvalidArgument):
        update("dedicated_endpoint_enabled", dedicated_endpoint_enabled=True)
    with pytest.raises(exceptions.InvalidArgument):
        update("traffic_split", traffic_split={"1": 100})
    assert hosting.told(endpoint) == changed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("$(A)-$(A)", "1-1"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A}", "$A ${A}"),
    ],
)
def test_variables_are_expanded_as_kubernetes_does(text: str, told: str) -> None:
    assert expanded(text, {"A": "1"}) == told


@pytest.mark.parametrize(
    ("image", "spec", "command"),
    [
        (("serve",), {}, ("serve",)),
        (("serve",), {"args": ["--x"]}, ("serve", "--x")),
        (("serve",), {"command": ["/usr/bin/python3", "s.py"]}, ("{python}", "s.py")),
        (
            ("serve",),
            {"command": ["run", "$(AIP_HTTP_PORT)"], "args": ["$(AIP_MODE)"]},
            ("run", "{port}", "PREDICTION"),
        ),
        ((), {"args": ["server", "--x"]}, ("server", "--x")),
        ((), {}, ("{python}",)),
        (("{python}", "-m", "mlinfra.serving"), {}, ("{python}", "-m", "mlinfra.serving", "--host", "127.0.0.1")),
    ],
)
def test_what_a_container_runs(image: tuple[str, ...], spec: dict[str, Any], command: tuple[str, ...]) -> None:
    contents: Any = SimpleNamespace(command=image, python="", requirements_lock="")
    made = container(types.ModelContainerSpec(spec), types.DeployedModel(), contents, Where("1", "e", "2", ""), {})
    assert made.server.command == command


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "INVALID_ARGUMENT"),
        (404, "NOT_FOUND"),
        (413, "FAILED_PRECONDITION"),
        (422, "FAILED_PRECONDITION"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (502, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_a_containers_status_becomes_the_code_that_google_names_for_it(status: int, expected: str) -> None:
    assert payloads.refused(status, b"body").code == expected


@pytest.mark.parametrize("body", [b"no JSON", b'{"prediction": []}', b'{"predictions": 1}', b"[1]", b"\xff"])
def test_answers_that_predict_does_not_allow(body: bytes) -> None:
    deployment: Any = SimpleNamespace(id="1", model_display_name="m", message=vertex.DeployedModel(model="m"))
    with pytest.raises(payloads.BadAnswer):
        payloads.answer(body, deployment)


@pytest.mark.parametrize(
    ("uri", "table"),
    [
        ("bq://p", "bq://p.logging_my_shop_7.request_response_logging"),
        ("bq://p.d", "bq://p.d.request_response_logging"),
        ("bq://p.d.t", "bq://p.d.t"),
    ],
)
def test_where_requests_are_logged(uri: str, table: str) -> None:
    config = types.PredictRequestResponseLoggingConfig(bigquery_destination={"output_uri": uri})
    assert destination(config, "my shop", "7") == table


FIELDS = {"metric.type": "m/x", "resource.type": "r", "resource.labels.id": "7", "metric.labels.code": "5xx"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('metric.type="m/x"', True),
        ('metric.type = "m/x" AND resource.labels.id = "7"', True),
        ('metric.type="m/x" resource.label.id="8"', False),
        ('metric.type="m/x" AND (metric.labels.code="2xx" OR metric.labels.code="5xx")', True),
        ('metric.type="m/x" AND NOT metric.labels.code="5xx"', False),
        ('metric.type=starts_with("m/")', True),
        ('metric.labels.code != "2xx"', True),
        ('metric.labels.code:"xx"', True),
        ('metric.labels.code=one_of("4xx", "5xx")', True),
        ('metric.labels.code=monitoring.regex.full_match("[45]xx")', True),
        ('metric.labels."code"="5xx"', True),
        ('resource.labels.missing="7"', False),
    ],
)
def test_monitoring_filters(text: str, holds: bool) -> None:  # noqa: FBT001  a case of the table
    assert filters.read(text).matches(FIELDS) is holds


@pytest.mark.parametrize("text", ["metric.type=", 'unknown="x"', '("x"', 'metric.type="x" )', 'metric.type ~ "x"'])
def test_filters_that_cannot_be_read(text: str) -> None:
    with pytest.raises(filters.BadFilter):
        filters.read(text)


def test_names_of_images() -> None:
    digest = f"sha256:{'a' * 64}"
    found = parsed(f"europe-west4-docker.pkg.dev/my-project/hub/library/python:3.11@{digest}")
    assert found == ("europe-west4", "my-project", "hub", "library/python", "3.11", digest)
    assert found.resource == "projects/my-project/locations/europe-west4/repositories/hub"
    assert parsed("eu.gcr.io/p/i")[4] == "latest"
    assert parsed("docker.io/library/python:3.11") is None
    assert parsed("python") is None


@pytest.mark.parametrize(
    ("image", "error", "told"),
    [
        ("europe-west4-docker.pkg.dev/mlinfra-emulated/mlinfra/none:1", exceptions.NotFound, "does not exist"),
        ("us-central1-docker.pkg.dev/mlinfra-emulated/mlinfra/obedient:1", exceptions.InvalidArgument, "region"),
        ("europe-west4-docker.pkg.dev/another-project/r/i:1", exceptions.PermissionDenied, "downloadArtifacts"),
        (
            "europe-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest",
            exceptions.MethodNotImplemented,
            "not em",
        ),
    ],
)
def test_a_model_whose_image_is_not_there_is_refused(hosting: Hosting, image: str, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        hosting.deploy(hosting.endpoint(), hosting.upload("model", image_uri=image))


def test_a_model_whose_artifacts_are_not_there_is_refused(hosting: Hosting, bucket: str) -> None:
    with pytest.raises(exceptions.FailedPrecondition, match="There are no files"):
        hosting.deploy(hosting.endpoint(), hosting.upload("empty", f"gs://{bucket}/nothing"))
    with pytest.raises(exceptions.FailedPrecondition, match="IAM permission"):
        hosting.deploy(hosting.endpoint(), hosting.upload("foreign", "gs://a-bucket-of-others/model"))
