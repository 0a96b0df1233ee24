"""Predictions over gRPC and REST: what reaches the container, what comes back, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import requests
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hosting

CONFIG = {
    "enabled": True,
    "sampling_rate": 0.5,
    "bigquery_destination": {"output_uri": "bq://mlinfra-emulated"},
}


def answering(hosting: Hosting, endpoint: Any, **variables: str) -> None:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    hosting.deploy(endpoint, hosting.upload("said", env=env), own="1")


def test_predict_sends_instances_and_parameters_and_tells_who_answered(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    answer = hosting.predict(endpoint, {"age": 40, "sex": "f"}, [1.5, None, True], parameters={"explain": True})
    (told,) = json_format.MessageToDict(vertex.PredictResponse.pb(answer))["predictions"]
    assert json.loads(told["body"]) == {
        "instances": [{"age": 40, "sex": "f"}, [1.5, None, True]],
        "parameters": {"explain": True},
    }
    assert told["path"] == "/predict"
    assert told["headers"]["content-type"] == "application/json"
    assert answer.deployed_model_id == "1"
    assert answer.model == hosting.emulator.place.name("models", "good")
    assert answer.model_version_id == "1"
    assert answer.model_display_name == "good"


def test_raw_predict_passes_body_and_content_type_unchanged_both_ways(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    answer = hosting.raw(endpoint, b"age,sex\n40,f\n", "text/csv")
    assert hosting.said(answer)["body"] == "age,sex\n40,f\n"
    assert hosting.said(answer)["headers"]["content-type"] == "text/csv"
    assert answer.content_type == "application/json"


def test_raw_predict_over_plain_rest_tells_who_answered_in_headers(hosting: Hosting, token: Callable[..., str]) -> None:
    endpoint = hosting.endpoint("shop")
    answering(hosting, endpoint, ANSWER="\x01\x02 is no JSON", KIND="application/x-own")
    answer = requests.post(
        f"https://{hosting.emulator.secure}/v1/{hosting.parent}/endpoints/shop:rawPredict",
        data=b"anything",
        headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/x-mine"},
        verify=str(hosting.emulator.ca_file),
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.content == b"\x01\x02 is no JSON"
    assert answer.headers["Content-Type"] == "application/x-own"
    assert answer.headers["X-Vertex-AI-Endpoint-Id"] == "shop"
    assert answer.headers["X-Vertex-AI-Deployed-Model-Id"] == "1"
    assert answer.headers["X-Vertex-AI-Model"] == hosting.emulator.place.name("models", "said")
    assert answer.headers["X-Vertex-AI-Model-Version-Id"] == "1"


def test_predict_over_plain_rest_answers_in_the_json_mapping(hosting: Hosting, token: Callable[..., str]) -> None:
    endpoint = hosting.endpoint("shop")
    answering(hosting, endpoint, ANSWER='{"predictions": [1, {"p": 0.5}], "metadata": {"took": 3}}')
    answer = requests.post(
        f"https://{hosting.emulator.secure}/v1/{endpoint.name}:predict",
        json={"instances": [[1, 2]]},
        headers={"Authorization": f"Bearer {token()}"},
        verify=str(hosting.emulator.ca_file),
        timeout=60,
    )
    told = answer.json()
    assert told["predictions"] == [1, {"p": 0.5}]
    assert told["metadata"] == {"took": 3}
    assert told["deployedModelId"] == "1"


def test_a_containers_error_becomes_the_services_with_its_body(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    answering(hosting, endpoint, STATUS="503", ANSWER='{"error": "row 3"}')
    with pytest.raises(exceptions.ServiceUnavailable, match="row 3"):
        hosting.predict(endpoint, 1)
    with pytest.raises(exceptions.ServiceUnavailable, match="row 3"):
        hosting.raw(endpoint, b"1")


def test_an_answer_that_predict_does_not_allow_is_refused_and_a_raw_one_is_not(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    answering(hosting, endpoint, ANSWER="no JSON")
    with pytest.raises(exceptions.InternalServerError, match="model server"):
        hosting.predict(endpoint, 1)
    assert hosting.raw(endpoint, b"1").data == b"no JSON"


def test_an_endpoint_without_traffic_refuses(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    with pytest.raises(exceptions.FailedPrecondition):
        hosting.predict(endpoint, 1)
    hosting.deploy(endpoint, hosting.upload("good"), {}, own="1")
    with pytest.raises(exceptions.FailedPrecondition):
        hosting.raw(endpoint, b"1")


def test_a_request_above_the_size_limit_is_refused(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    hosting.raw(endpoint, b"x" * 1_500_000)
    with pytest.raises(exceptions.InvalidArgument, match=r"1\.500MB"):
        hosting.raw(endpoint, b"x" * 1_500_001)
    with pytest.raises(exceptions.InvalidArgument, match=r"1\.500MB"):
        hosting.predict(endpoint, "x" * 1_500_000)


def test_a_model_that_does_not_answer_in_time_is_given_up(hosting: Hosting) -> None:
    hosting.emulator.predictions.time_limit = 0.2
    endpoint = hosting.endpoint()
    answering(hosting, endpoint, SECONDS="5")
    with pytest.raises(exceptions.DeadlineExceeded, match="did not answer"):
        hosting.predict(endpoint, 1, timeout=10)


def test_a_dedicated_endpoint_has_the_time_limit_of_its_configuration(
    hosting: Hosting, token: Callable[..., str]
) -> None:
    limit = {"inference_timeout": {"seconds": 1}}
    endpoint = hosting.endpoint("own", dedicated_endpoint_enabled=True, client_connection_config=limit)
    answering(hosting, endpoint, SECONDS="10")
    answer = requests.post(
        f"https://{endpoint.dedicated_endpoint_dns}/v1/{endpoint.name}:rawPredict",
        data=b"1",
        headers={"Authorization": f"Bearer {token()}"},
        verify=str(hosting.emulator.ca_file),
        timeout=60,
    )
    assert answer.status_code == 504
    assert answer.json()["error"]["status"] == "DEADLINE_EXCEEDED"


def test_predicting_needs_its_permission(hosting: Hosting) -> None:
    endpoint = hosting.endpoint()
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    approver = hosting.client("PredictionService", "approver")
    with pytest.raises(exceptions.PermissionDenied, match=r"aiplatform\.endpoints\.predict"):
        approver.predict(endpoint=endpoint.name, instances=[])


def test_a_dedicated_endpoint_answers_at_its_own_address_alone(hosting: Hosting, token: Callable[..., str]) -> None:
    dedicated = hosting.endpoint("own", dedicated_endpoint_enabled=True)
    shared = hosting.endpoint("shared")
    model = hosting.upload("good")
    for endpoint in (dedicated, shared):
        hosting.deploy(endpoint, model, own="1")
    address = hosting.told(dedicated).dedicated_endpoint_dns
    assert address
    assert address != hosting.emulator.secure
    with pytest.raises(exceptions.FailedPrecondition, match=address):
        hosting.predict(dedicated, 1)

    def post(endpoint: Any, where: str) -> requests.Response:
        return requests.post(
            f"https://{where}/v1/{endpoint.name}:rawPredict",
            data=b"x" * 2_000_000,
            headers={"Authorization": f"Bearer {token()}"},
            verify=str(hosting.emulator.ca_file),
            timeout=60,
        )

    assert post(dedicated, address).status_code == 200
    assert post(dedicated, hosting.emulator.secure).status_code == 400
    assert "cannot be accessed" in post(shared, address).text


def test_a_dedicated_endpoint_answers_grpc_too(hosting: Hosting, token: Callable[..., str]) -> None:
    endpoint = hosting.endpoint("own", dedicated_endpoint_enabled=True)
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    root = grpc.ssl_channel_credentials(hosting.emulator.ca_file.read_bytes())
    both = grpc.composite_channel_credentials(root, grpc.access_token_call_credentials(token()))
    transport = vertex.PredictionServiceClient.get_transport_class("grpc")
    with grpc.secure_channel(endpoint.dedicated_endpoint_dns, both) as channel:
        client = vertex.PredictionServiceClient(transport=transport(channel=channel))
        answer = client.raw_predict(request={"endpoint": endpoint.name, "http_body": {"data": b"1"}}, timeout=60)
    assert hosting.said(answer)["body"] == "1"


def test_request_response_logging_keeps_the_sampled_rows(hosting: Hosting) -> None:
    endpoint = hosting.endpoint("shop", predict_request_response_logging_config=CONFIG)
    answering(hosting, endpoint, ANSWER='{"predictions": [0.5, 0.25]}')
    for number in range(4):
        hosting.predict(endpoint, {"x": number}, {"x": -number})
    found = hosting.emulator.endpoints.admin("endpoints/requestlog", {"name": endpoint.name})
    assert found["table"] == "bq://mlinfra-emulated.logging_shop_shop.request_response_logging"
    assert len(found["rows"]) == 2
    row = found["rows"][0]
    assert row["endpoint"] == endpoint.name
    assert row["deployed_model_id"] == "1"
    assert [json.loads(each) for each in row["response_payload"]] == [0.5, 0.25]
    assert len(row["request_payload"]) == 2
    off = {"name": endpoint.name, "predict_request_response_logging_config": {"enabled": False}}
    hosting.endpoints.update_endpoint(endpoint=off, update_mask={"paths": ["predict_request_response_logging_config"]})
    hosting.predict(endpoint, 1)
    assert len(hosting.emulator.endpoints.get(endpoint.name).log.rows()) == 2


def test_containers_and_requests_leave_their_lines_in_cloud_logging(
    hosting: Hosting, session: Callable[..., Any]
) -> None:
    endpoint = hosting.endpoint("shop")
    hosting.deploy(endpoint, hosting.upload("good"), own="1", enable_access_logging=True)
    hosting.predict(endpoint, 1, 2)

    def entries(log: str) -> list[dict[str, Any]]:
        told = session().post(
            f"{hosting.emulator.url}/v2/entries:list",
            json={
                "resourceNames": [f"projects/{hosting.emulator.project}"],
                "filter": 'resource.type="aiplatform.googleapis.com/Endpoint" resource.labels.endpoint_id="shop" '
                f'logName="projects/{hosting.emulator.project}/logs/aiplatform.googleapis.com%2F{log}"',
            },
        )
        return list(told.json().get("entries", []))

    (access,) = entries("prediction_access")
    assert access["jsonPayload"]["instanceCount"] == "2"
    (line,) = hosting.until(lambda: entries("prediction_container"))
    assert line["textPayload"] == "a server of good begins"
    assert line["labels"]["deployed_model_id"] == "1"
