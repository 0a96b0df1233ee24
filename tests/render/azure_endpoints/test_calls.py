"""Predictions, figures, logs and calls for people: what is asked, and how replies are read."""

import base64
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlinfra.contract.requests import Ref
from mlinfra.contract.states import EndpointState
from mlinfra.engine.invoke import raise_for_status
from mlinfra.errors import InputRejected, NotFound
from mlinfra_azure import observe
from mlinfra_azure.config import check_request
from mlinfra_azure.render import endpoint_logs, endpoints
from mlinfra_azure.render.endpoint_state import DEPLOYMENT_STATES, ENDPOINT_STATES

SINCE = datetime(2030, 1, 1, 12, 0, 30, tzinfo=UTC)
START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


def enums():
    """The enumerations of the vendor's client, without its package, which takes seconds to import."""
    package = importlib.util.find_spec("azure.ai.ml").submodule_search_locations[0]
    path = Path(package) / "_restclient" / "arm_ml_service" / "models" / "_enums.py"
    spec = importlib.util.spec_from_file_location("arm_ml_service_enums", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_state_of_endpoints_and_deployments_is_known():
    assert set(ENDPOINT_STATES) == {each.value for each in enums().EndpointProvisioningState}
    assert set(DEPLOYMENT_STATES) == {each.value for each in enums().DeploymentProvisioningState}


def test_a_new_word_is_unknown(world):
    world.reach({1: 100})
    world.platform.endpoint.state = "Meditating"
    assert world.look().state is EndpointState.UNKNOWN
    world.platform.deployments["main-00000001"].state = "Levitating"
    assert world.look().deployments[0].state is EndpointState.UNKNOWN


def test_the_kit_looks_with_three_questions_and_refers_to_nothing(world):
    asked = endpoints.observe(world.name, world.environment)
    for request in asked:
        check_request(request)
    assert [each.operation for each in asked] == [
        "OnlineEndpoints_Get",
        "OnlineDeployments_List",
        "AutoscaleSettings_ListByResourceGroup",
    ]
    assert not any(isinstance(value, Ref) for each in asked for value in each.body.values())


def answered(status, body, own="", deployment="main-00000001"):
    return {
        "StatusCode": status,
        "Body": base64.b64encode(body.encode()).decode(),
        "ContentType": "application/json",
        "ModelStatusCode": own,
        "Deployment": deployment,
    }


def test_a_call_goes_to_the_scoring_address_bit_for_bit_and_to_one_deployment_where_named(world):
    world.reach({1: 100})
    request = endpoints.invoke(world.look(), None, b"\x00\xff", "application/x-npy", world.environment)
    assert request.body["url"] == f"https://{world.name}.westeurope.inference.ml.azure.com/score"
    assert base64.b64decode(request.body["body"]) == b"\x00\xff"
    assert (request.body["authMode"], request.body["endpoint"]) == ("AADToken", world.name)
    assert "deployment" not in request.body
    one = endpoints.invoke(world.look(), "main-00000001", b"{}", "application/json", world.environment)
    assert one.body["deployment"] == "main-00000001"
    assert not one.effect


def test_an_answer_tells_who_gave_it(world):
    told = observe.invocation(answered(200, '{"predictions": [1]}'), world.environment)
    assert (told.status, told.body, told.deployment) == (200, b'{"predictions": [1]}', "main-00000001")


@pytest.mark.parametrize(
    ("status", "own", "told"), [(424, "400", 400), (424, "500", 500), (424, "", 424), (408, "", 408)]
)
def test_a_server_s_own_status_is_told(world, status, own, told):
    assert observe.invocation(answered(status, "{}", own), world.environment).status == told


def test_refused_rows_are_told_as_the_server_told_them(world):
    cells = [{"row": 0, "column": "age", "value": -1, "allowed": "18 to 120"}]
    text = json.dumps({"error": {"code": "InputRejected", "message": "refused", "rows": cells}})
    with pytest.raises(InputRejected) as refusal:
        raise_for_status(observe.invocation(answered(424, text, "400"), world.environment))
    assert refusal.value.rows == cells


def series(metric, points, **dimensions):
    """Minute after 12:00 -> value, as Azure Monitor tells a series; minutes without a value have none."""
    minutes = dict(points)
    return {
        "name": {"value": metric, "localizedValue": metric},
        "timeseries": [
            {
                "metadatavalues": [
                    {"name": {"value": name, "localizedValue": name}, "value": value}
                    for name, value in dimensions.items()
                ],
                "data": [
                    {
                        "timeStamp": (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z"),
                        **({"average": minutes[minute]} if minute in minutes else {}),
                    }
                    for minute in range(-2, 8)
                ],
            }
        ],
    }


def figures(counts=(), date="Tue, 01 Jan 2030 12:06:10 GMT", p50=(), p99=()):
    """`counts` are (status, the model's own, points)."""
    told = [
        series("RequestsPerMinute", points, deployment="d", statuscode=status, modelstatuscode=own)
        for status, own, points in counts
    ]
    merged = {"name": {"value": "RequestsPerMinute"}, "timeseries": [each["timeseries"][0] for each in told]}
    latencies = [series("RequestLatency_P50", p50), series("RequestLatency_P99", p99)]
    return {"counts": {"value": [merged], "Date": date}, "latencies": {"value": latencies}}


def test_two_questions_hold_all_figures_of_a_deployment(world):
    world.reach({1: 100})
    asked = endpoints.health(world.look(), "main-00000001", SINCE, world.environment)
    counts, latencies = asked
    for request in asked:
        check_request(request)
        assert request.body["resourceUri"].endswith(f"/onlineEndpoints/{world.name}")
        assert not request.body["resourceUri"].startswith("/")
        assert request.body["timespan"].startswith("2030-01-01T12:00:00Z/")
        assert request.body["interval"] == "PT1M"
    assert counts.body["filter"] == (
        "deployment eq 'main-00000001' and statusCode eq '*' and statusCodeClass eq '*' and modelStatusCode eq '*'"
    )
    assert latencies.body["filter"] == "deployment eq 'main-00000001'"
    assert latencies.body["metricnames"] == "RequestLatency_P50,RequestLatency_P99"


def test_whole_minutes_are_counted_and_the_newest_ones_wait(world):
    told = observe.health(
        figures(
            [
                ("200", "200", [(-1, 9.0), (0, 60.0), (1, 92.0), (3, 7.0), (4, 1.0)]),
                ("424", "500", [(1, 3.0)]),
                ("424", "400", [(1, 5.0)]),
                ("408", "", [(1, 2.0)]),
                ("424", "", [(2, 1.0)]),
                ("429", "", [(2, 4.0)]),
            ],
            p50=[(-1, 1.0), (0, 10.0), (1, 30.0)],
            p99=[(-1, 999.0), (0, 20.0), (1, 90.0), (4, 999.0)],
        ),
        SINCE,
        world.environment,
    )
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)
    assert (told.requests, told.errors, told.rejected) == (174, 6, 9)
    assert (told.p50, told.p99) == (0.03, 0.09)


def test_without_requests_nothing_is_claimed(world):
    told = observe.health(figures(), SINCE, world.environment)
    assert (told.requests, told.errors, told.p50, told.p99) == (0, 0, None, None)
    assert told.as_of == datetime(2030, 1, 1, 12, 4, tzinfo=UTC)


def test_figures_never_reach_back_before_the_beginning(world):
    early = figures([("200", "200", [(-1, 9.0), (0, 5.0)])], date="Tue, 01 Jan 2030 12:00:45 GMT")
    told = observe.health(early, SINCE, world.environment)
    assert (told.as_of, told.requests) == (SINCE, 0)


def test_a_minute_counts_when_it_is_complete_and_visible(world):
    for date, expected in (("12:02:59", 0), ("12:03:00", 5), ("12:03:59", 5), ("12:04:00", 12)):
        told = observe.health(
            figures([("200", "200", [(-1, 9.0), (0, 5.0), (1, 7.0)])], date=f"Tue, 01 Jan 2030 {date} GMT"),
            SINCE,
            world.environment,
        )
        assert told.requests == expected, date


def test_without_the_service_s_clock_the_newest_minute_counts_as_incomplete(world):
    told = observe.health(figures([("200", "200", [(0, 5.0), (1, 7.0)])], date=""), SINCE, world.environment)
    assert (told.as_of, told.requests) == (datetime(2030, 1, 1, 12, 1, tzinfo=UTC), 5)


def test_no_figures_at_all_are_none(world):
    told = observe.health({"counts": None}, SINCE, world.environment)
    assert (told.requests, told.as_of) == (0, SINCE)


class Servers:
    """getLogs of two deployments, whose containers write on."""

    def __init__(self, **lines):
        self.lines = {name: list(texts) for name, texts in lines.items()}

    def __call__(self, asked):
        assert asked["body"]["containerType"] == "InferenceServer"
        if asked["deploymentName"] not in self.lines:
            raise NotFound("no such deployment", given=asked["deploymentName"])
        tail = asked["body"]["tail"]
        return {"content": "".join(f"{text}\n" for text in self.lines[asked["deploymentName"]][-tail:])}


def follow(world, servers, token=None, deployment=None):
    request = endpoints.logs(world.look(), deployment, world.environment, token)
    page = observe.endpoint_logs(endpoint_logs.follow(request.body, servers), world.environment)
    return [(line.source, line.text) for line in page.lines], page.token


def test_logs_are_those_of_one_deployment_or_of_all_and_go_on_where_they_ended(world):
    world.reach({1: 50, 2: 50})
    servers = Servers(**{"main-00000001": ["a", "b"], "main-00000002": ["x"]})
    lines, token = follow(world, servers)
    assert lines == [("main-00000001", "a"), ("main-00000001", "b"), ("main-00000002", "x")]
    assert follow(world, servers, token) == ([], token)
    servers.lines["main-00000002"].append("y")
    lines, token = follow(world, servers, token)
    assert lines == [("main-00000002", "y")]
    assert follow(world, servers, None, "main-00000002")[0] == [("main-00000002", "x"), ("main-00000002", "y")]


def test_a_line_that_repeats_and_a_log_that_begins_anew_lose_nothing(world):
    world.reach({1: 100})
    servers = Servers(**{"main-00000001": [f"line {number}" for number in range(40)]})
    _, token = follow(world, servers)
    servers.lines["main-00000001"] += ["again", "again", "again"]
    assert [text for _, text in follow(world, servers, token)[0]] == ["again"] * 3
    servers.lines["main-00000001"] = ["after a restart"]
    assert [text for _, text in follow(world, servers, token)[0]] == ["after a restart"]


def test_a_deployment_that_went_meanwhile_has_no_lines(world):
    world.reach({1: 100})
    assert follow(world, Servers()) == ([], "{}")


def test_lines_tell_their_time_where_they_have_one(world):
    world.reach({1: 100})
    own = json.dumps({"time": SINCE.timestamp(), "event": "listening"})
    servers = Servers(**{"main-00000001": ["early", own, "trace", "2030-01-01T12:00:31.5Z said so", "{not json"]})
    request = endpoints.logs(world.look(), None, world.environment, None)
    page = observe.endpoint_logs(endpoint_logs.follow(request.body, servers), world.environment)
    seconds = [(line.time - SINCE).total_seconds() for line in page.lines[1:]]
    assert seconds == [0, 0, 1.5, 1.5]
    assert page.lines[0].time.year == 1970


def test_people_get_authorised_calls(world):
    world.reach({1: 100})
    told = endpoints.snippets(world.look(), {"instances": [{"name": "O'Neil"}]}, world.environment)
    assert world.look().url in told.curl
    assert "az account get-access-token --resource https://ml.azure.com" in told.curl
    assert "O'\\''Neil" in told.curl
    compile(told.python, "snippet", "exec")
    assert world.name in endpoints.console_url(world.look(), world.environment)


def test_an_emulator_s_login_is_not_asked_of_microsoft(new_world):
    world = new_world(emulated=True)
    world.engine().reach(world.desired({1: 100}), rounds=3_000)
    told = endpoints.snippets(world.look(), {"instances": []}, world.environment)
    assert "DefaultAzureCredential(disable_instance_discovery=True)" in told.python
    assert endpoints.console_url(world.look(), world.environment) == ""


@pytest.mark.parametrize(("mode", "member"), [("Key", "primary_key"), ("AMLToken", "access_token")])
def test_where_an_endpoint_has_keys_or_tokens_of_its_own_people_are_shown_how_to_get_them(world, mode, member):
    world.reach({1: 100})
    world.platform.endpoint.body["properties"]["authMode"] = mode
    told = endpoints.snippets(world.look(), {"instances": []}, world.environment)
    assert f"az ml online-endpoint get-credentials --name {world.name}" in told.curl
    assert f"get_keys({world.name!r}).{member}" in told.python
    compile(told.python, "snippet", "exec")
    assert endpoints.invoke(world.look(), None, b"", "", world.environment).body["authMode"] == mode


def test_a_list_holds_this_environment_s_endpoints_alone_and_does_not_tell_deployments(world):
    world.reach({1: 100})
    request = endpoints.list_endpoints(world.environment, None)
    check_request(request)
    reply = world.platform.send(request)
    reply["value"].append({"name": "somebody-else", "properties": {"provisioningState": "Succeeded"}})
    skip = "MTA="
    page = observe.endpoints({**reply, "nextLink": "https://x/y?api-version=1&%24skip=MTA%3D"}, world.environment)
    assert [(each.name, each.physical_name, each.complete) for each in page.endpoints] == [
        ("credit-risk", world.name, False)
    ]
    assert page.token == skip
    again = endpoints.list_endpoints(world.environment, page.token)
    check_request(again)
    assert again.body == {"skip": skip}
    assert observe.endpoints(reply, world.environment).token is None


def test_a_record_stays_as_the_server_wrote_it():
    record = {"id": "r1", "output": [1]}
    assert observe.capture(record, "captures/credit-risk/date=2030-01-01/x.jsonl") == record
