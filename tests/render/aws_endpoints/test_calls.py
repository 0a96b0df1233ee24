"""Predictions, figures, logs and calls for people: what is asked, and how replies are read."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from mlinfra.contract.capabilities import Capability, Level
from mlinfra.contract.states import EndpointState
from mlinfra.engine.invoke import raise_for_status
from mlinfra.errors import InputRejected
from mlinfra_aws import observe
from mlinfra_aws.capabilities import CAPABILITIES
from mlinfra_aws.config import check_request
from mlinfra_aws.observe.endpoints import STATES, percents
from mlinfra_aws.render import endpoints

SINCE = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)


def test_every_status_word_of_sagemaker_is_known():
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    assert set(STATES) == set(shapes["EndpointStatus"]["enum"])


def test_a_new_status_word_is_unknown_and_waited_for(world, kit):
    world.reach({1: 100})
    world.platform.endpoint.status = "Meditating"
    assert world.look().state is EndpointState.UNKNOWN
    assert isinstance(world.engine().step(world.desired({1: 100})), kit.Wait)


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_that_takes_no_change_says_why(world, kit, status):
    world.reach({1: 100})
    world.platform.endpoint.status, world.platform.endpoint.reason = status, "the role is gone"
    failed = world.engine().step(world.desired({2: 100}))
    assert isinstance(failed, kit.Failed)
    assert status in failed.reason
    assert "the role is gone" in failed.reason


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 100), min_size=1, max_size=10))
def test_percents_are_whole_and_sum_to_100_or_nobody_has_any(weights):
    shares = percents({name: float(weight) for name, weight in weights.items()})
    assert sum(shares.values()) == (100 if sum(weights.values()) else 0)
    if sum(weights.values()) == 100:
        assert shares == weights


def test_equal_weights_of_others_are_shared_out():
    assert percents({"a": 1.0, "b": 1.0, "c": 1.0}) == {"a": 34, "b": 33, "c": 33}
    assert percents({"AllTraffic": 1.0}) == {"AllTraffic": 100}


def test_every_capability_is_declared():
    assert set(CAPABILITIES) == set(Capability)
    assert all(cell.reason for cell in CAPABILITIES.values() if cell.level is not Level.NATIVE)


def answered(status, body, variant="main-00000001"):
    return {
        "StatusCode": status,
        "Body": base64.b64encode(body.encode()).decode(),
        "ContentType": "application/json",
        "InvokedProductionVariant": variant,
    }


def test_a_call_goes_to_the_variant_that_serves_the_deployment(world, kit):
    world.reach({1: 100})
    world.reach({2: 100}, guard=kit.Guard((100,), 0.0, ("errors-high",)))
    request = endpoints.invoke(world.look(), "main-00000002", b"{}", "application/json", world.environment)
    assert request.body["TargetVariant"] == "main-00000001"
    check_request(request)
    anyone = endpoints.invoke(world.look(), None, b"{}", "application/json", world.environment)
    assert "TargetVariant" not in anyone.body


def test_an_answer_is_told_as_it_came(world):
    told = observe.invocation(answered(200, '{"predictions": [1]}'), world.environment)
    assert (told.status, told.body, told.deployment) == (200, b'{"predictions": [1]}', "main-00000001")


CELLS = [{"row": row, "column": "age", "value": -1, "allowed": "18 to 120"} for row in range(100)]


@pytest.mark.parametrize("length", [None, 2048])
def test_refused_rows_come_out_of_the_envelope_even_where_it_was_cut_short(world, length):
    text = json.dumps({"error": {"code": "InputRejected", "message": "refused", "rows": CELLS}})[:length]
    with pytest.raises(InputRejected) as refusal:
        raise_for_status(observe.invocation(answered(400, text), world.environment))
    assert refusal.value.rows == CELLS[: len(refusal.value.rows)]
    assert len(refusal.value.rows) == (100 if length is None else 29)


@pytest.mark.parametrize("text", ["", "Internal Server Error", '{"error": "boom', '{"error": {"rows": [{"row'])
def test_any_other_error_stays_as_it_is(world, text):
    assert observe.invocation(answered(500, text), world.environment).body == text.encode()


def figures(date="Tue, 01 Jan 2030 12:05:10 GMT", **series):
    start = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    results = [
        {
            "Id": name,
            "Timestamps": [(start + timedelta(minutes=minute)).isoformat() for minute, _ in points],
            "Values": [value for _, value in points],
        }
        for name, points in series.items()
    ]
    return {"health": {"MetricDataResults": results, "Date": date}}


def test_one_question_holds_all_figures_of_a_variant(world):
    world.reach({1: 100})
    (request,) = endpoints.health(world.look(), "main-00000001", SINCE, world.environment)
    check_request(request)
    metrics = [each["MetricStat"]["Metric"]["MetricName"] for each in request.body["MetricDataQueries"]]
    assert {"Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency"} <= set(metrics)
    assert request.body["StartTime"] == "2030-01-01T12:00:00+00:00"
    dimensions = request.body["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"]
    assert dimensions == [
        {"Name": "EndpointName", "Value": world.name},
        {"Name": "VariantName", "Value": "main-00000001"},
    ]


def test_whole_minutes_are_counted_and_the_newest_ones_wait(world):
    told = observe.health(
        figures(
            requests=[(0, 60.0), (1, 100.0), (4, 7.0), (5, 1.0)],
            errors=[(1, 3.0)],
            rejected=[(1, 5.0)],
            failed=[(1, 10.0)],
            p50=[(0, 10_000.0), (1, 30_000.0)],
            p99=[(0, 20_000.0), (1, 90_000.0), (5, 999_000.0)],
        ),
        SINCE,
        world.environment,
    )
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)
    assert (told.requests, told.errors, told.rejected) == (160, 5, 5)
    assert (told.p50, told.p99) == (0.03, 0.09)


def test_without_requests_nothing_is_claimed(world):
    told = observe.health(figures(requests=[]), SINCE, world.environment)
    assert (told.requests, told.errors, told.p50, told.p99) == (0, 0, None, None)
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)


def test_figures_never_reach_back_before_the_beginning(world):
    told = observe.health(figures(date="Tue, 01 Jan 2030 12:00:45 GMT", requests=[(0, 5.0)]), SINCE, world.environment)
    assert (told.as_of, told.requests) == (SINCE, 0)


def test_a_minute_counts_when_it_is_complete(world):
    requests = [(0, 5.0), (1, 7.0)]
    for date, expected in (("12:01:59", 0), ("12:02:00", 5), ("12:02:59", 5), ("12:03:00", 12)):
        told = observe.health(figures(date=f"Tue, 01 Jan 2030 {date} GMT", requests=requests), SINCE, world.environment)
        assert told.requests == expected, date


def test_without_the_service_s_clock_the_newest_minute_counts_as_incomplete(world):
    told = observe.health(figures(date="", requests=[(0, 5.0), (1, 7.0)]), SINCE, world.environment)
    assert (told.as_of, told.requests) == (datetime(2030, 1, 1, 12, 1, tzinfo=UTC), 5)


def test_logs_are_those_of_one_variant_or_of_all(world):
    world.reach({1: 100})
    one = endpoints.logs(world.look(), "main-00000001", world.environment, None)
    assert (one.body["logGroupName"], one.body["logStreamNamePrefix"]) == (
        f"/aws/sagemaker/Endpoints/{world.name}",
        "main-00000001/",
    )
    assert "logStreamNamePrefix" not in endpoints.logs(world.look(), None, world.environment, None).body


def test_people_get_signed_calls(world):
    world.reach({1: 100})
    told = endpoints.snippets(world.look(), {"instances": [{"name": "O'Neil"}]}, world.environment)
    address = f"https://runtime.sagemaker.eu-west-1.amazonaws.com/endpoints/{world.name}/invocations"
    assert world.look().url == address
    assert address in told.curl
    assert "--aws-sigv4 aws:amz:eu-west-1:sagemaker" in told.curl
    assert "O'\\''Neil" in told.curl
    compile(told.python, "snippet", "exec")
    assert world.name in endpoints.console_url(world.look(), world.environment)


def test_a_list_tells_little_and_says_so(world):
    world.reach({1: 100})
    page = observe.endpoints(world.platform.send(endpoints.list_endpoints(world.environment, None)), world.environment)
    assert [(each.name, each.physical_name, each.complete) for each in page.endpoints] == [
        ("credit-risk", world.name, False)
    ]


CAPTURED = {
    "captureData": {
        "endpointInput": {
            "observedContentType": "application/json",
            "mode": "INPUT",
            "data": '{"instances": [{"age": 30}]}',
            "encoding": "JSON",
        },
        "endpointOutput": {
            "observedContentType": "application/json",
            "mode": "OUTPUT",
            "data": '{"predictions": [0.5]}',
            "encoding": "JSON",
        },
    },
    "eventMetadata": {"eventId": "e1", "inferenceTime": "2030-01-01T12:00:00Z"},
    "eventVersion": "0",
}
PLACE = "captures/credit-risk/{}credit-risk-a1b2c3/main-00000001/2030/01/01/12/00-x.jsonl"


def test_a_record_of_sagemaker_s_becomes_the_kit_s():
    assert observe.capture(CAPTURED, PLACE.format("")) == {
        "id": "e1",
        "time": "2030-01-01T12:00:00Z",
        "endpoint": "credit-risk",
        "deployment": "main-00000001",
        "input": [{"age": 30}],
        "output": [0.5],
    }


def test_a_record_knows_the_deployment_behind_another_s_name():
    assert observe.capture(CAPTURED, PLACE.format("main-00000001=main-00000002/"))["deployment"] == "main-00000002"


def test_a_record_of_the_kit_s_own_stays():
    assert observe.capture({"id": "r1", "output": [1]}, "captures/credit-risk/date=2030-01-01/x.jsonl") == {
        "id": "r1",
        "output": [1],
    }


@pytest.mark.parametrize(
    ("data", "encoding", "rows"),
    [
        (base64.b64encode(b'{"instances": [[1, 2]]}').decode(), "BASE64", [[1, 2]]),
        ("[[1, 2]]", "JSON", [[1, 2]]),
        ("1,2\n", "CSV", None),
        ("{broken", "JSON", None),
    ],
)
def test_inputs_are_read_where_they_are_rows(data, encoding, rows):
    side = {"data": data, "encoding": encoding}
    record = {**CAPTURED, "captureData": {**CAPTURED["captureData"], "endpointInput": side}}
    assert observe.capture(record, PLACE.format(""))["input"] == rows


def test_a_record_without_predictions_is_a_refusal():
    output = {"data": '{"error": {"message": "refused", "rows": []}}', "encoding": "JSON"}
    for side in (output, None):
        record = {**CAPTURED, "captureData": {**CAPTURED["captureData"], "endpointOutput": side}}
        read = observe.capture(record, PLACE.format(""))
        assert "output" not in read
        assert read["rejection"]["message"]
