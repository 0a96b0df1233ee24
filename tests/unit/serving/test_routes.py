"""Every address of every contract answers."""

from __future__ import annotations

from typing import Any

import pytest

ROWS = [[1.0, 0.5, -0.5, 0.0], [-1.0, 0.5, -0.5, 0.0]]
INSTANCES = {"instances": ROWS}


@pytest.mark.parametrize(
    "target", ["/ping", "/", "/score", "/v2/health/live", "/v2/health/ready", "/v2/models/numbers/ready"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_is_200(numbers: Any, target: str, method: str) -> None:
    answer = numbers.call(method, target)

    assert answer.status == 200
    assert (answer.body == b"") == (method == "HEAD")


@pytest.mark.parametrize("target", ["/invocations", "/score", "/", "/predict", "/v1/models/numbers:predict"])
def test_rows_are_predicted(numbers: Any, target: str) -> None:
    answer = numbers.post(INSTANCES, target)

    assert (answer.status, answer.json) == (200, {"predictions": [1, 0]})
    assert answer.headers["content-type"] == "application/json"


def test_query_and_absolute_targets_are_understood(numbers: Any) -> None:
    assert numbers.post(INSTANCES, "/invocations?api-version=1").status == 200
    assert numbers.post(INSTANCES, "http://example.invalid/invocations").status == 200
    assert numbers.call("GET", "http://example.invalid").status == 200


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", "/invocations", "POST"),
        ("PUT", "/invocations", "POST"),
        ("POST", "/ping", "GET, HEAD"),
        ("DELETE", "/", "GET, HEAD, POST"),
        ("OPTIONS", "/score", "GET, HEAD, POST"),
        ("PATCH", "/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_405_and_says_which(numbers: Any, method: str, target: str, allow: str) -> None:
    answer = numbers.call(method, target)

    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json["error"]["code"] == "MethodNotAllowed"


@pytest.mark.parametrize(
    "target",
    [
        "/nothing",
        "/v2/models/other/infer",
        "/v2/models/numbers/versions/9/infer",
        "/v1/models/other:predict",
        "//",
        "/ping/",
    ],
)
def test_another_address_is_404(numbers: Any, target: str) -> None:
    answer = numbers.post(INSTANCES, target)

    told = answer.json if target.startswith("/v2/") else answer.json["error"]
    assert (answer.status, told["code"]) == (404, "NotFound")


def test_metadata_says_what_is_served_and_how(numbers: Any) -> None:
    about = numbers.get("/metadata").json

    assert about["digest"].startswith("sha256:")
    assert about["schema"]["inputs"]["x0"] == {"type": "number"}
    assert about["way"] in ("sealed", "estimator")
    assert ("sealed" in about) or about["reason"]
    assert about["example"] == "equal"
    assert about["requirements"]
    assert about["python"]


def test_kserve_v1_lists_its_model(numbers: Any) -> None:
    assert numbers.get("/v1/models").json == {"models": ["numbers"]}
    assert numbers.get("/v1/models/numbers").json == {"name": "numbers", "ready": True}


def test_sagemaker_may_ask_for_its_parameters(numbers: Any) -> None:
    assert numbers.get("/execution-parameters").json["MaxPayloadInMB"] == 10


def test_metrics_count_requests_rows_and_refusals(numbers: Any) -> None:
    before = numbers.metric("requests_total", 'code="200"'), numbers.metric("rows_total")
    numbers.predict(ROWS)
    numbers.post({"instances": [["a", 1, 2, 3]]})

    assert numbers.metric("requests_total", 'code="200"') == before[0] + 1
    assert numbers.metric("rows_total") == before[1] + 2
    assert numbers.metric("requests_total", 'code="400"') >= 1
    assert numbers.metric("refused_cells_total") >= 1
    assert numbers.metric("latency_seconds_count") >= before[0] + 2
    assert numbers.metric("ready") == 1
    assert numbers.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_an_id_comes_back_or_is_made(numbers: Any) -> None:
    given = numbers.post(INSTANCES, x_request_id="abc-1.2_3").headers["x-request-id"]
    made = {numbers.post(INSTANCES, x_request_id=value).headers["x-request-id"] for value in ("", "a b", "x" * 200)}

    assert given == "abc-1.2_3"
    assert len(made) == 3
    assert not made & {"", "a b", "x" * 200}


def test_platform_variables_set_port_and_routes(start: Any, packages: Any) -> None:
    env = {
        "AIP_HEALTH_ROUTE": "/v1/endpoints/1/health",
        "AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict",
        "AIP_STORAGE_URI": f"file://{packages / 'numbers'}",
    }
    with start(None, env=env) as server:
        assert server.get("/v1/endpoints/1/health").status == 200
        assert server.post(INSTANCES, "/v1/endpoints/1:predict").json == {"predictions": [1, 0]}
        assert server.post({**INSTANCES, "parameters": None}, "/v1/endpoints/1:predict").status == 200


def test_health_and_predictions_may_share_a_platforms_route(start: Any, packages: Any) -> None:
    with start(packages / "numbers", env={"AIP_HEALTH_ROUTE": "/both", "AIP_PREDICT_ROUTE": "/both"}) as server:
        assert server.get("/both").status == 200
        assert server.post(INSTANCES, "/both").status == 200


def test_azures_mount_may_hold_the_package_further_down(start: Any, packages: Any, tmp_path: Any) -> None:
    (tmp_path / "credit" / "3").mkdir(parents=True)
    (tmp_path / "credit" / "3" / "package").symlink_to(packages / "numbers")
    with start(None, env={"AZUREML_MODEL_DIR": str(tmp_path)}) as server:
        assert server.post(INSTANCES, "/score").status == 200
