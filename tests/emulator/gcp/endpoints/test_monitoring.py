"""What Cloud Monitoring tells of endpoints, asked over REST as the vendor documents it; and alert policies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlinfra.emulator.gcp.monitoring import descriptors
from mlinfra.emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Hosting

    from mlinfra.emulator.gcp import GcpEmulator

RESOURCE = 'resource.type="aiplatform.googleapis.com/Endpoint"'


@pytest.fixture
def ask(emulator: GcpEmulator, session: Callable[..., Any]) -> Callable[..., Any]:
    """A call of Cloud Monitoring: the answer's document, whose status was 200 unless another is said."""

    def call(method: str, path: str, status: int = 200, principal: str = "deployer", **options: Any) -> Any:
        url = f"{emulator.url}/v3/projects/{emulator.project}/{path}"
        answer = session(principal).request(method, url, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    return call


@pytest.fixture
def series(emulator: GcpEmulator, ask: Callable[..., Any]) -> Callable[..., list[dict[str, Any]]]:
    """The time series of a metric of the last hour and the next five minutes: `series(metric, aligner="ALIGN_SUM")`."""

    def listed(metric: str, more: str = "", status: int = 200, **aggregation: Any) -> Any:
        now = emulator.clock.now()
        params = {
            "filter": f'metric.type="{metric}" AND {RESOURCE}{more}',
            "interval.startTime": (now - timedelta(hours=1)).isoformat(),
            "interval.endTime": (now + timedelta(minutes=5)).isoformat(),
            **({"aggregation.alignmentPeriod": "86400s"} if aggregation else {}),
            **{f"aggregation.{name}": value for name, value in aggregation.items()},
        }
        told = ask("GET", "timeSeries", status, params=params)
        return told.get("timeSeries", []) if status == 200 else told["error"]

    return listed


def put(emulator: GcpEmulator, metric: str, value: float, at: datetime, **labels: str) -> None:
    emulator.monitoring.put(metric, labels.pop("endpoint", "shop"), labels, value, at)


@pytest.fixture
def minute(emulator: GcpEmulator) -> datetime:
    """The begin of the last whole minute."""
    now = emulator.clock.now()
    return now - timedelta(seconds=now.timestamp() % 60) - timedelta(minutes=1)


def values(found: list[dict[str, Any]]) -> list[Any]:
    return [next(iter(point["value"].values())) for line in found for point in line["points"]]


def test_requests_are_counted_by_model_and_code_with_latencies(hosting: Hosting, series: Any) -> None:
    endpoint = hosting.endpoint("shop")
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    hosting.predict(endpoint, 1, 2, 3)
    hosting.raw(endpoint, b"1")
    bad = hosting.upload("bad", env=[{"name": "STATUS", "value": "503"}])
    hosting.deploy(endpoint, bad, {"0": 100}, own="2")
    with pytest.raises(Exception, match="503"):
        hosting.predict(endpoint, 1)
    hosting.emulator.clock.advance(60)
    named = ' AND resource.labels.endpoint_id="shop" AND metric.labels.deployed_model_id="{}"'

    whole = {"perSeriesAligner": "ALIGN_SUM"}
    (predicted,) = series(descriptors.PREDICTIONS, **whole)
    assert values([predicted]) == ["4"]
    assert predicted["metricKind"] == "DELTA"
    assert predicted["metric"]["labels"] == {
        "deployed_model_id": "1",
        "spot": "False",
        "model_display_name": "good",
        "endpoint_display_name": "shop",
    }
    assert predicted["resource"] == {
        "type": "aiplatform.googleapis.com/Endpoint",
        "labels": {
            "project_id": hosting.emulator.project,
            "resource_container": hosting.emulator.project_number,
            "location": hosting.emulator.region,
            "endpoint_id": "shop",
        },
    }
    codes = {
        (line["metric"]["labels"]["deployed_model_id"], line["metric"]["labels"]["response_code"]): values([line])
        for line in series(descriptors.RESPONSES, **whole)
    }
    assert codes == {("1", "2xx"): ["2"], ("2", "5xx"): ["1"]}
    assert values(series(descriptors.ERRORS, named.format("2"), **whole)) == ["1"]
    assert series(descriptors.ERRORS, named.format("1")) == []
    kinds = {
        line["metric"]["labels"]["latency_type"]: values([line])[0]["count"]
        for line in series(descriptors.LATENCIES, named.format("1"), **whole)
    }
    assert kinds == {"total": "2", "model": "2", "overhead": "2"}


def test_a_minute_is_seen_when_it_has_ended(hosting: Hosting, series: Any) -> None:
    endpoint = hosting.endpoint("shop")
    hosting.deploy(endpoint, hosting.upload("good"), own="1")
    clock = hosting.emulator.clock
    clock.advance(61 - clock.now().timestamp() % 60)
    hosting.predict(endpoint, 1)
    assert series(descriptors.PREDICTIONS) == []
    clock.advance(60)
    (line,) = series(descriptors.PREDICTIONS)
    (point,) = line["points"]
    start, end = (datetime.fromisoformat(point["interval"][name]) for name in ("startTime", "endTime"))
    assert end - start == timedelta(minutes=1)
    assert start.second == 0


def test_replicas_and_what_they_use_are_sampled(hosting: Hosting, series: Any) -> None:
    endpoint = hosting.endpoint("shop")
    hosting.deploy(endpoint, hosting.upload("good"), own="1", resources={"min_replica_count": 2})

    hosting.minute()
    hosting.minute()
    assert set(values(series(descriptors.REPLICAS))) == {"2"}
    assert set(values(series(descriptors.TARGET_REPLICAS))) == {"2"}
    assert len({line["metric"]["labels"]["replica_id"] for line in series(descriptors.MEMORY)}) == 2
    (line, *_) = series(descriptors.CPU)
    assert line["valueType"] == "DOUBLE"


@pytest.mark.parametrize(
    "case",
    [
        (descriptors.PREDICTIONS, "ALIGN_SUM", ["60"]),
        (descriptors.PREDICTIONS, "ALIGN_DELTA", ["60"]),
        (descriptors.PREDICTIONS, "ALIGN_RATE", [60 / 86400]),
        (descriptors.PREDICTIONS, "ALIGN_MEAN", [30.0]),
        (descriptors.PREDICTIONS, "ALIGN_COUNT", ["2"]),
        (descriptors.LATENCIES, "ALIGN_PERCENTILE_50", [30.0]),
        (descriptors.LATENCIES, "ALIGN_PERCENTILE_95", [48.0]),
        (descriptors.LATENCIES, "ALIGN_PERCENTILE_99", [49.6]),
        (descriptors.REPLICAS, "ALIGN_MAX", ["3"]),
        (descriptors.REPLICAS, "ALIGN_NEXT_OLDER", ["1"]),
    ],
)
def test_series_are_aligned(
    emulator: GcpEmulator, series: Any, minute: datetime, case: tuple[str, str, list[Any]]
) -> None:
    metric, aligner, expected = case
    earlier = minute - timedelta(minutes=2)
    for at in (earlier, minute):
        put(emulator, descriptors.PREDICTIONS, 30, at)
    for number, at in enumerate([earlier, minute, minute, minute, earlier]):
        put(emulator, descriptors.LATENCIES, 10.0 * (number + 1), at)
    for number, at in ((2, earlier - timedelta(minutes=3)), (3, earlier), (1, minute)):
        put(emulator, descriptors.REPLICAS, number, at)
    assert values(series(metric, perSeriesAligner=aligner)) == pytest.approx(expected)


def test_series_are_reduced_by_the_fields_that_are_kept(emulator: GcpEmulator, series: Any, minute: datetime) -> None:
    for model, code, count in (("1", "2xx", 5), ("1", "5xx", 1), ("2", "2xx", 7)):
        put(emulator, descriptors.RESPONSES, count, minute, deployed_model_id=model, response_code=code)
    steps = {"perSeriesAligner": "ALIGN_SUM", "crossSeriesReducer": "REDUCE_SUM"}
    found = series(descriptors.RESPONSES, **steps, groupByFields=["metric.labels.deployed_model_id"])
    assert {line["metric"]["labels"]["deployed_model_id"]: values([line]) for line in found} == {"1": ["6"], "2": ["7"]}
    (whole,) = series(descriptors.RESPONSES, **steps)
    assert values([whole]) == ["13"]
    assert "labels" not in whole["metric"]


def test_points_go_from_new_to_old_and_come_in_pages(
    emulator: GcpEmulator, environment: Any, ask: Any, minute: datetime
) -> None:
    for number in range(3):
        for model in ("1", "2"):
            put(emulator, descriptors.PREDICTIONS, number, minute - timedelta(minutes=number), deployed_model_id=model)
    params = {
        "filter": f'metric.type="{descriptors.PREDICTIONS}"',
        "interval.startTime": (minute - timedelta(hours=1)).isoformat(),
        "interval.endTime": (minute + timedelta(minutes=1)).isoformat(),
        "pageSize": 3,
    }
    first = ask("GET", "timeSeries", params=params)
    assert values(first["timeSeries"]) == ["0", "1", "2"]
    second = ask("GET", "timeSeries", params={**params, "pageToken": first["nextPageToken"]})
    assert "nextPageToken" not in second
    headers = ask("GET", "timeSeries", params={**params, "view": "HEADERS"})
    assert [line.get("points") for line in headers["timeSeries"]] == [None, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"filter": RESOURCE},
        {"filter": 'metric.type="a" OR metric.type="b"'},
        {"filter": "metric.type="},
        {"filter": 'resource.name="x" AND metric.type="a"'},
        {"interval.endTime": "yesterday"},
        {"interval.startTime": "2999-01-01T00:00:00Z"},
        {"aggregation.perSeriesAligner": "ALIGN_MEAN"},
        {"aggregation.perSeriesAligner": "ALIGN_MEAN", "aggregation.alignmentPeriod": "30s"},
        {"aggregation.perSeriesAligner": "MEAN", "aggregation.alignmentPeriod": "60s"},
        {"aggregation.crossSeriesReducer": "REDUCE_SUM"},
        {"aggregation.perSeriesAligner": "ALIGN_PERCENTILE_95", "aggregation.alignmentPeriod": "60s"},
    ],
)
def test_questions_that_break_a_rule_are_refused(
    emulator: GcpEmulator, environment: Any, ask: Any, minute: datetime, wrong: dict[str, str]
) -> None:
    put(emulator, descriptors.PREDICTIONS, 1, minute)
    params = {
        "filter": f'metric.type="{descriptors.PREDICTIONS}"',
        "interval.startTime": (minute - timedelta(hours=1)).isoformat(),
        "interval.endTime": (minute + timedelta(minutes=1)).isoformat(),
        **wrong,
    }
    told = ask("GET", "timeSeries", 400, params=params)
    assert told["error"]["status"] == "INVALID_ARGUMENT"


def test_reading_needs_its_permission(environment: Any, ask: Any) -> None:
    told = ask("GET", "timeSeries", 403, principal="approver", params={"filter": 'metric.type="a"'})
    assert "monitoring.timeSeries.list" in told["error"]["message"]


class TestLate:
    @pytest.fixture
    def emulator_settings(self) -> Settings:
        return Settings(delays_scale=0.0, quotas=False, metric_delay=120.0)

    def test_values_are_seen_after_the_delay(self, emulator: GcpEmulator, series: Any, minute: datetime) -> None:
        put(emulator, descriptors.PREDICTIONS, 1, minute)
        assert series(descriptors.PREDICTIONS) == []
        emulator.clock.advance(121)
        assert values(series(descriptors.PREDICTIONS)) == ["1"]


def policy(**members: Any) -> dict[str, Any]:
    threshold = {
        "filter": f'{RESOURCE} AND metric.type="{descriptors.ERRORS}"',
        "comparison": "COMPARISON_GT",
        "thresholdValue": 5,
        "duration": "60s",
        "aggregations": [{"alignmentPeriod": "60s", "perSeriesAligner": "ALIGN_DELTA"}],
        **members.pop("threshold", {}),
    }
    return {
        "displayName": "errors",
        "combiner": "OR",
        "conditions": [{"displayName": "many", "conditionThreshold": threshold}],
        "userLabels": {"mlinfra_id": "x"},
        **members,
    }


class TestPolicies:
    @pytest.fixture(autouse=True)
    def _allowed(self, emulator: GcpEmulator, environment: Any) -> None:
        member = f"serviceAccount:{environment.identities['deployer']}"
        emulator.identity.bindings.grant(f"projects/{emulator.project}", "roles/monitoring.editor", member)

    def test_a_policy_is_made_told_changed_and_deleted(self, emulator: GcpEmulator, ask: Any) -> None:
        channel = ask("POST", "notificationChannels", json={"type": "email", "labels": {"email_address": "a@b.c"}})
        made = ask("POST", "alertPolicies", json=policy(notificationChannels=[channel["name"]]))
        own = made["name"].rpartition("/")[2]
        assert made["enabled"]
        assert made["conditions"][0]["name"].startswith(f"{made['name']}/conditions/")
        assert ask("GET", f"alertPolicies/{own}") == made
        assert [each["name"] for each in ask("GET", "alertPolicies")["alertPolicies"]] == [made["name"]]
        assert emulator.monitoring.leftovers() == [made["name"]]
        patch = {"displayName": "new", "enabled": False}
        changed = ask("PATCH", f"alertPolicies/{own}", params={"updateMask": "displayName"}, json=patch)
        assert changed["displayName"] == "new"
        assert changed["enabled"]
        ask("DELETE", f"alertPolicies/{own}")
        ask("GET", f"alertPolicies/{own}", 404)
        assert emulator.monitoring.leftovers() == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"displayName": ""},
            {"combiner": "XOR"},
            {"conditions": []},
            {"kind": "alert"},
            {"threshold": {"duration": "90s"}},
            {"threshold": {"comparison": "COMPARISON_EQ"}},
            {"threshold": {"filter": RESOURCE}},
        ],
    )
    def test_a_policy_that_breaks_a_rule_is_refused(self, ask: Any, wrong: dict[str, Any]) -> None:
        told = ask("POST", "alertPolicies", 400, json=policy(**wrong))
        assert told["error"]["status"] == "INVALID_ARGUMENT"


def test_the_metrics_that_are_written_are_described(environment: Any, ask: Any) -> None:
    told = {each["type"]: each for each in ask("GET", "metricDescriptors")["metricDescriptors"]}
    assert told[descriptors.LATENCIES]["valueType"] == "DISTRIBUTION"
    assert ask("GET", f"metricDescriptors/{descriptors.CPU}")["metricKind"] == "GAUGE"
    ask("GET", "metricDescriptors/nothing/of/this", 404)
