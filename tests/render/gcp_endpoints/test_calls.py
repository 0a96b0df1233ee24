"""Predictions, figures, logs and calls for people: what is asked, and how replies are read."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.aiplatform_v1 import types

from mlinfra.contract.capabilities import Capability, Level
from mlinfra.contract.states import EndpointState
from mlinfra.engine.invoke import raise_for_status
from mlinfra.errors import InputRejected
from mlinfra_gcp import observe
from mlinfra_gcp.capabilities import CAPABILITIES
from mlinfra_gcp.config import check_request
from mlinfra_gcp.observe.endpoints import OPERATIONS, STAGES
from mlinfra_gcp.render import endpoints
from mlinfra_gcp.rest import call_of

SINCE = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)
START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def test_every_stage_of_a_deployment_is_known():
    assert set(STAGES) - {""} == {each.name for each in types.DeploymentStage}


def test_every_operation_on_endpoints_is_known():
    ending = "OperationMetadata"
    about = {name.removesuffix(ending) for name in dir(types) if name.endswith(ending)}
    assert {name for name in about if "Endpoint" in name and "Index" not in name} <= set(OPERATIONS)
    assert {name for name in about if name.startswith(("DeployM", "UndeployM", "MutateDeployedM"))} <= set(OPERATIONS)
    assert set(OPERATIONS) <= about


def test_a_new_word_for_an_operation_is_unknown(world):
    world.reach({1: 100})
    world.platform._begin(world.platform.endpoint.body["name"], "Meditate", 60.0, lambda: None)
    assert world.look().state is EndpointState.UNKNOWN


@pytest.mark.parametrize(("kind", "state"), [("UndeployModel", "updating"), ("Delete", "deleting")])
def test_an_endpoint_is_what_is_being_done_to_it(world, kind, state):
    world.reach({1: 100})
    world.platform._begin(world.platform.endpoint.body["name"], kind, 60.0, lambda: None)
    assert world.look().state == state


def test_every_capability_is_declared():
    assert set(CAPABILITIES) == set(Capability)
    assert all(cell.reason for cell in CAPABILITIES.values() if cell.level is not Level.NATIVE)


def answered(status, body, deployed="77"):
    return {
        "StatusCode": status,
        "Body": base64.b64encode(body.encode()).decode(),
        "ContentType": "application/json",
        "DeployedModelId": deployed,
    }


def test_a_call_goes_to_the_endpoint_s_own_address_bit_for_bit(world, new_world):
    world.reach({1: 100})
    request = endpoints.invoke(world.look(), None, b"\x00\xff", "application/x-npy", world.environment)
    check_request(request)
    assert request.body["host"] == "https://1.europe-west4-111122223333.prediction.vertexai.goog"
    assert base64.b64decode(request.body["httpBody"]["data"]) == b"\x00\xff"
    shared = new_world(dedicated_endpoints=False)
    shared.reach({1: 100})
    assert "host" not in endpoints.invoke(shared.look(), None, b"{}", "application/json", shared.environment).body


def test_an_answer_tells_who_gave_it(world):
    told = observe.invocation(answered(200, '{"predictions": [1]}'), world.environment)
    assert (told.status, told.body, told.deployment) == (200, b'{"predictions": [1]}', "77")


def test_refused_rows_are_told_as_the_server_told_them(world):
    cells = [{"row": 0, "column": "age", "value": -1, "allowed": "18 to 120"}]
    text = json.dumps({"error": {"code": "InputRejected", "message": "refused", "rows": cells}})
    with pytest.raises(InputRejected) as refusal:
        raise_for_status(observe.invocation(answered(400, text), world.environment))
    assert refusal.value.rows == cells


def series(points, **labels):
    """Minute after 12:00 -> value, as an aligned series of timeSeries.list has them, the newest first."""
    return {
        "metric": {"labels": labels},
        "points": [
            {
                "interval": {
                    "startTime": moment(minute),
                    "endTime": moment(minute + 1),
                },
                "value": {"doubleValue": value} if isinstance(value, float) else {"int64Value": str(value)},
            }
            for minute, value in reversed(points)
        ],
    }


def moment(minute):
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def figures(date="Tue, 01 Jan 2030 12:06:10 GMT", p50=(), p99=(), **by_code):
    counts = [series(points, response_code=code.lstrip("c")) for code, points in by_code.items()]
    return {
        "responses": {"timeSeries": counts, "Date": date},
        "p50": {"timeSeries": [series(p50)] if p50 else []},
        "p99": {"timeSeries": [series(p99)] if p99 else []},
    }


def test_three_questions_hold_all_figures_of_a_deployed_model(world):
    world.reach({1: 100})
    (deployment,) = world.look().deployments
    asked = endpoints.health(world.look(), deployment.name, SINCE, world.environment)
    assert [each.step for each in asked] == ["responses", "p50", "p99"]
    for request in asked:
        assert f'resource.labels.endpoint_id="{world.name}"' in request.body["filter"]
        assert f'metric.labels.deployed_model_id="{deployment.native_id}"' in request.body["filter"]
        assert request.body["interval"]["startTime"] == "2030-01-01T12:00:00Z"
        call = call_of(request.service, request.operation, request.body)
        assert (call.method, call.path) == ("GET", "/v3/projects/kit-project/timeSeries")
        assert ("aggregation.alignmentPeriod", "60s") in call.query
    assert ("aggregation.groupByFields", "metric.labels.response_code") in call_of(
        asked[0].service, asked[0].operation, asked[0].body
    ).query
    assert 'latency_type="total"' in asked[1].body["filter"]


@pytest.mark.parametrize(("good", "refused", "failed"), [("c200", "c400", "c500"), ("c2xx", "c4xx", "c5xx")])
def test_whole_minutes_are_counted_and_the_newest_ones_wait(world, good, refused, failed):
    told = observe.health(
        figures(
            p50=[(-1, 1.0), (0, 10.0), (1, 30.0)],
            p99=[(-1, 999.0), (0, 20.0), (1, 90.0), (4, 999.0)],
            **{good: [(0, 60), (1, 92), (3, 7), (4, 1)], failed: [(1, 3)], refused: [(1, 5)]},
        ),
        SINCE,
        world.environment,
    )
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)
    assert (told.requests, told.errors, told.rejected) == (167, 3, 5)
    assert (told.p50, told.p99) == (0.03, 0.09)


def test_without_requests_nothing_is_claimed(world):
    told = observe.health(figures(), SINCE, world.environment)
    assert (told.requests, told.errors, told.p50, told.p99) == (0, 0, None, None)
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)


def test_figures_never_reach_back_before_the_beginning(world):
    early = figures(date="Tue, 01 Jan 2030 12:00:45 GMT", c200=[(-1, 9), (0, 5)])
    told = observe.health(early, SINCE, world.environment)
    assert (told.as_of, told.requests) == (SINCE, 0)


def test_a_minute_counts_when_it_is_complete_and_visible(world):
    for date, expected in (("12:02:59", 0), ("12:03:00", 5), ("12:03:59", 5), ("12:04:00", 12)):
        told = observe.health(
            figures(date=f"Tue, 01 Jan 2030 {date} GMT", c200=[(-1, 9), (0, 5), (1, 7)]), SINCE, world.environment
        )
        assert told.requests == expected, date


def test_without_the_service_s_clock_the_newest_minute_counts_as_incomplete(world):
    told = observe.health(figures(date="", c200=[(0, 5), (1, 7)]), SINCE, world.environment)
    assert (told.as_of, told.requests) == (datetime(2030, 1, 1, 12, 1, tzinfo=UTC), 5)


def test_no_figures_at_all_are_none(world):
    told = observe.health({"responses": None}, SINCE, world.environment)
    assert (told.requests, told.as_of) == (0, SINCE)


def test_logs_are_those_of_one_deployed_model_or_of_all(world):
    world.reach({1: 100})
    (deployment,) = world.look().deployments
    one = endpoints.logs(world.look(), deployment.name, world.environment, None)
    assert f'labels.deployed_model_id="{deployment.native_id}"' in one.body["filter"]
    everyone = endpoints.logs(world.look(), None, world.environment, None)
    assert "deployed_model_id" not in everyone.body["filter"]
    assert f'resource.labels.endpoint_id="{world.name}"' in everyone.body["filter"]


def test_the_logs_of_a_deployment_that_failed_are_found_by_the_id_that_it_would_have_had(world):
    world.platform.stillborn.add(f"{1:064x}")
    world.reach({1: 100})
    (failed,) = world.look().deployments
    request = endpoints.logs(world.look(), failed.name, world.environment, None)
    assert [failed.native_id] == world.platform.asked
    assert f'labels.deployed_model_id="{failed.native_id}"' in request.body["filter"]


def test_people_get_authorised_calls(world):
    world.reach({1: 100})
    told = endpoints.snippets(world.look(), {"instances": [{"name": "O'Neil"}]}, world.environment)
    assert world.look().url.endswith(f"/endpoints/{world.name}:rawPredict")
    assert world.look().url in told.curl
    assert "O'\\''Neil" in told.curl
    compile(told.python, "snippet", "exec")
    assert world.name in endpoints.console_url(world.look(), world.environment)


def test_a_list_does_not_tell_what_is_under_way_and_says_so(world):
    world.reach({1: 100})
    page = observe.endpoints(world.platform.send(endpoints.list_endpoints(world.environment, None)), world.environment)
    assert [(each.name, each.physical_name, each.complete) for each in page.endpoints] == [
        ("credit-risk", world.name, False)
    ]
    assert page.token is None


def test_a_record_stays_as_the_server_wrote_it():
    record = {"id": "r1", "output": [1]}
    assert observe.capture(record, "captures/credit-risk/date=2030-01-01/x.jsonl") == record
